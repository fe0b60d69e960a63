"""What ranks tell each other."""

import pytest
import torch

from rl_speed.system.errors import RankError, UserError
from rl_speed.training.ranks.group import Ranks
from tests.training.ranks.together import in_threads


@pytest.mark.parametrize("size", [2, 4])
def test_everybody_hears_the_same(size):
    def work(ranks):
        rank = ranks.place.rank
        total, first = torch.full((3,), float(rank + 1)), torch.full((2,), rank)
        ranks.sum(total)
        ranks.copy_from_first(first)
        rows = ranks.gather(torch.tensor([rank, 10 * rank]))
        # Values of different sizes.
        values = ranks.gather_values({"rank": rank, "text": "x" * 100 * rank})
        return total.tolist(), first.tolist(), rows.tolist(), values, ranks.from_first(f"of {rank}")

    outcomes = in_threads(size, work)
    assert outcomes == [outcomes[0]] * size
    total, first, rows, values, of_first = outcomes[0]
    assert total == [sum(range(1, size + 1))] * 3
    assert first == [0, 0]
    assert rows == [[rank, 10 * rank] for rank in range(size)]
    assert [value["rank"] for value in values] == list(range(size))
    assert len(values[-1]["text"]) == 100 * (size - 1)
    assert of_first == "of 0"


def test_one_process_talks_to_itself():
    ranks, row = Ranks(), torch.tensor([1.0, 2.0])
    ranks.sum(row)
    ranks.copy_from_first(row)
    ranks.barrier()
    assert row.tolist() == [1.0, 2.0]
    assert ranks.gather(row).tolist() == [[1.0, 2.0]]
    assert (ranks.from_first("a"), ranks.gather_values("b")) == ("a", ["b"])
    assert (ranks.size, ranks.is_first) == (1, True)


@pytest.mark.parametrize("known", [UserError("rank 1 has ended: the disk is full"), None])
def test_a_rank_that_is_gone_is_told_as_what_is_known_of_it(known):
    def work(ranks):
        ranks.barrier()  # both are there before one goes
        if ranks.place.rank == 1:
            ranks.close()
            return None
        ranks._why_lost = lambda: known
        with pytest.raises((RankError, UserError)) as caught:
            ranks.sum(torch.zeros(10))
        return caught.value

    def survives(ranks):
        try:
            return work(ranks)
        finally:
            ranks.barrier = lambda: None

    error, _ = in_threads(2, survives)
    assert error is known or (isinstance(error, RankError) and "cannot reach the other ranks" in str(error))
