"""What ranks pool: games, wishes, rank 0's clock; on all of them at the same batch."""

from types import SimpleNamespace

import pytest
import torch

from rl_speed.records import EpisodeEnd
from rl_speed.system.ending import Ending
from rl_speed.training.callbacks.exchange import EVERY_BATCHES, MAX_GAMES, Exchange, agree_to_end
from rl_speed.training.ranks.group import Ranks
from tests.training.ranks.together import in_threads
from tests.training.stand_ins import fake_dataset, fake_trainer

ENVS = 3  # of each rank


def make_exchange(ranks, ends=(), ending=None, seconds=5.0):
    dataset = fake_dataset(ends=list(ends))
    dataset.replay = SimpleNamespace(num_envs=ENVS)
    return Exchange(ranks, dataset, ending or Ending(), lambda: seconds, gradient_steps_per_batch=2)


def test_games_of_all_ranks_are_those_of_the_whole_run():
    def work(ranks):
        rank = ranks.place.rank
        # A rank counts its own envs and env steps: two ranks have twice as many.
        ends = [EpisodeEnd(1, 10.5 + rank, 7, 30 - 10 * rank), EpisodeEnd(2, -1.0, 9, 40 + 10 * rank)]
        exchange = make_exchange(ranks, ends[: 2 - rank], seconds=5.0 + rank)
        exchange.exchange()
        return exchange.episode_ends, exchange.seconds

    outcomes = in_threads(2, work)
    assert outcomes[0] == outcomes[1]
    ends, seconds = outcomes[0]
    assert ends == [EpisodeEnd(ENVS + 1, 11.5, 7, 40), EpisodeEnd(1, 10.5, 7, 60), EpisodeEnd(2, -1.0, 9, 80)]
    assert seconds == 5.0


@pytest.mark.parametrize("count", [MAX_GAMES, 2 * MAX_GAMES + 5])
def test_games_that_do_not_fit_into_one_row_follow_in_others(count):
    def work(ranks):
        ends = [EpisodeEnd(0, float(number), 1, number) for number in range(count)]
        exchange = make_exchange(ranks, ends if ranks.is_first else [])
        exchange.exchange()
        return [end.episode_return for end in exchange.episode_ends]

    assert in_threads(2, work) == [[float(number) for number in range(count)]] * 2


def test_a_wish_of_one_is_heard_by_all_at_the_next_exchange():
    def work(ranks):
        ending = Ending()
        ending.hold()
        exchange, reasons = make_exchange(ranks, ending=ending), []
        for batch in range(1, 2 * EVERY_BATCHES + 1):
            if batch == EVERY_BATCHES + 3 and ranks.place.rank == 1:
                ending.stop.set()
            exchange.on_train_batch_end(fake_trainer(2 * batch))
            reasons.append(ending.reason)
        return reasons

    quiet = 2 * EVERY_BATCHES - 1
    assert in_threads(2, work) == [[None] * quiet + ["interrupted"]] * 2


def test_one_process_exchanges_with_itself_at_every_batch():
    exchange = make_exchange(Ranks(), [EpisodeEnd(1, 2.0, 3, 4)])
    exchange.on_train_batch_end(fake_trainer(2))
    assert exchange.episode_ends == [EpisodeEnd(1, 2.0, 3, 4)]
    exchange.on_train_batch_end(fake_trainer(4))
    assert exchange.episode_ends == []


def test_a_prefill_that_ends_on_one_rank_ends_on_all():
    def work(ranks):
        ending = Ending()
        outcomes = [agree_to_end(ranks, ending, False)]
        if ranks.place.rank == 1:
            ending.stop.set()
        outcomes.append(agree_to_end(ranks, ending, ranks.place.rank == 1))
        return outcomes, ending.reason

    assert in_threads(2, work) == [([False, True], "interrupted")] * 2
    assert agree_to_end(Ranks(), Ending(), True)
    assert not agree_to_end(Ranks(), Ending(), False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_a_run_begins_with_rank_0s_networks(dtype):
    def work(ranks):
        value = torch.tensor([ranks.place.rank, 1]).to(dtype)
        module = torch.nn.Module()
        module.register_buffer("value", value)
        state = {"remembered": torch.full((2,), float(ranks.place.rank))}
        optimizer = SimpleNamespace(state={"weight": state})
        trainer = SimpleNamespace(lightning_module=module, optimizers=[optimizer])
        make_exchange(ranks).on_train_start(trainer, module)
        return module.value.tolist(), state["remembered"].tolist()

    assert in_threads(2, work) == [(torch.tensor([0, 1]).to(dtype).tolist(), [0.0, 0.0])] * 2
