"""The ring against a scripted env: literal tables for the edges, a slow loop for everything else."""

import random

import pytest
import torch

from rl_speed.experience.generators.player import Player, RolloutSpace
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.experience.replay import Replay, ReplaySettings, mean_frame
from rl_speed.learner.captured import CALLS_BEFORE, Captured
from rl_speed.records import Rollout
from rl_speed.system.stage_timer import StageTimer
from tests.conftest import CountingEnv
from tests.learner.tape import Tape


def fill(config, env, steps, replay, rollout_steps=1):
    """Plays `steps` env steps of each env into the replay."""
    policy = ExploringPolicy(torch.nn.Identity(), env.num_actions, seed=0)
    player = Player(env, policy, config.envs, first_env=0, timer=StageTimer())
    for _ in range(steps // rollout_steps):
        space = RolloutSpace.allocate(rollout_steps, env.num_envs, config.envs)
        for t in range(rollout_steps):
            player.begin()
            player.finish(space, t)
        replay.append(space.rollout((), 0))


def make_replay(steps=12, envs=1, stack=3, n_step=2, **settings):
    return Replay(steps, envs, 20, 20, ReplaySettings(stack, n_step, 0.5, **settings), seed=0)


def gather(replay, rows, env=0):
    place = torch.tensor(rows) % replay.steps
    settings = replay.settings
    gamma = torch.tensor(settings.gamma, dtype=torch.float64)
    return replay.ring.gather(place, torch.full((len(rows),), env), torch.arange(settings.n_step), gamma)


def pixels(observation):
    """[B, K, H, W] -> the number of each frame."""
    assert (observation == observation[:, :, :1, :1]).all()
    return observation[:, :, 0, 0].tolist()


def test_stacks_never_reach_over_the_start_of_an_episode(tiny_config):
    # Episodes of 4 env steps: frames 0-3, 4-7, 8-11. Missing frames are zero.
    config = tiny_config(envs={"frame_stack": 3})
    replay = make_replay()
    fill(config, CountingEnv([4]), 10, replay)
    assert pixels(gather(replay, [2, 3, 4, 5, 6, 7])["observation"]) == [
        [0, 1, 2], [1, 2, 3], [0, 0, 4], [0, 4, 5], [4, 5, 6], [5, 6, 7],
    ]  # fmt: skip


def test_windows_end_with_the_episode(tiny_config):
    config = tiny_config(envs={"frame_stack": 3})
    replay = make_replay()
    fill(config, CountingEnv([4]), 10, replay)
    # Row r earns reward r + 1; rows 3 and 7 are terminal; gamma is 0.5.
    sample = gather(replay, [0, 1, 2, 3, 4])
    assert sample["n_step_return"].tolist() == [1 + 1, 2 + 1.5, 3 + 2, 4, 5 + 3]
    assert sample["bootstrap_discount"].tolist() == [0.25, 0.25, 0, 0, 0.25]
    assert sample["is_valid"].all()


def test_a_truncation_bootstraps_from_the_last_observation_that_is_known(tiny_config):
    config = tiny_config(envs={"frame_stack": 3})
    replay = make_replay(n_step=3)
    fill(config, CountingEnv([4], truncates=True), 10, replay)
    # Row 3 is truncated: what would follow it is gone. Windows that meet it end before it.
    sample = gather(replay, [0, 1, 2, 3, 4])
    assert sample["is_valid"].tolist() == [True, True, True, False, True]
    assert sample["n_step_return"].tolist() == [1 + 1 + 0.75, 2 + 1.5, 3, 0, 5 + 3 + 7 / 4]
    assert sample["bootstrap_discount"].tolist() == [0.125, 0.25, 0.5, 1.0, 0.125]
    assert pixels(sample["next_observation"])[:3] == [[1, 2, 3], [1, 2, 3], [1, 2, 3]]


def test_games_that_start_anew_do_not_continue_what_is_stored(tiny_config):
    config = tiny_config(envs={"frame_stack": 3})
    replay = make_replay(n_step=3)
    fill(config, CountingEnv([100]), 5, replay)
    fill(config, CountingEnv([100]), 5, replay)
    sample = gather(replay, [2, 3, 4])
    assert sample["is_valid"].tolist() == [True, True, False]
    assert sample["n_step_return"].tolist() == [3 + 2, 4, 0]
    # The stack of the first row of the new game starts anew.
    assert pixels(gather(replay, [5, 6])["observation"]) == [[0, 0, 0], [0, 0, 1]]


def test_games_that_ended_are_not_marked_anew(tiny_config):
    replay = make_replay(20, 2)
    fill(tiny_config(envs={"frame_stack": 3}), CountingEnv([4, 5]), 16, replay)
    assert replay.ring.terminated.any()
    assert not replay.ring.truncated.any()


def rows_of_lives(lives, rows, first_row):
    """A rollout of one env per life: the pixel is the life's number, the reward the row's."""
    envs = len(lives)
    frame = torch.tensor([life % 256 for life, _ in lives], dtype=torch.uint8)[None, :, None, None]
    is_first = torch.zeros(rows, envs, dtype=torch.bool)
    is_first[0] = torch.tensor([begins for _, begins in lives])
    none = torch.zeros(rows, envs, dtype=torch.bool)
    reward = torch.arange(first_row, first_row + rows, dtype=torch.float32)[:, None].expand(rows, envs)
    return Rollout(frame.expand(rows, envs, 20, 20), is_first, none.long(), reward, none, none, (), 0)


@pytest.mark.parametrize("seed", range(5))
def test_no_window_joins_two_lives_of_an_env(seed):
    """Envs are started anew at any rollout, each for itself; a slow loop says what a sample may hold."""
    dice, n, stack, envs = random.Random(seed), 4, 3, 3
    replay = make_replay(23, envs, stack, n)
    history = []  # of each row the life of each env
    life = [0] * envs
    while len(history) < 150:
        rows = dice.choice((1, 1, 2, 5))
        begins = [dice.random() < 0.2 or not history for _ in range(envs)]
        life = [number + 1 if begin else number for number, begin in zip(life, begins, strict=True)]
        replay.append(rows_of_lives(list(zip(life, begins, strict=True)), rows, len(history)))
        history += [life] * rows
        for row in replay.rows_drawable:
            for e in range(envs):
                sample = gather(replay, [row], e)
                own = history[row][e]
                # Rows of the same life that follow: the return stops before the last of them.
                after = next((k for k in range(n + 1) if history[row + k][e] != own), n + 1)
                length = n if after == n + 1 else after - 1
                assert sample["is_valid"].item() == (length > 0)
                expected = sum(0.5**k * (row + k) for k in range(length))
                assert sample["n_step_return"].item() == pytest.approx(expected)
                assert sample["bootstrap_discount"].item() == 0.5**length
                assert set(pixels(sample["observation"])[0]) <= {0, own}
                if length:
                    assert set(pixels(sample["next_observation"])[0]) <= {0, own}


@pytest.mark.parametrize("rollout_steps", [1, 3])
@pytest.mark.parametrize("priority_exponent", [0.0, 0.6])
def test_samples_equal_a_slow_loop_after_many_wraps(tiny_config, rollout_steps, priority_exponent):
    config = tiny_config(envs={"frame_stack": 3})
    lengths, steps, n, gamma = [5, 7, 1000], 96, 3, 0.5
    replay = make_replay(17, len(lengths), stack=3, n_step=n, priority_exponent=priority_exponent)
    env = CountingEnv(lengths)
    fill(config, env, steps, replay, rollout_steps)
    batch = replay.sample(4, 64)
    assert batch.observation.shape == (4, 64, 3, 20, 20)
    actions = torch.tensor([action.tolist() for action in env.actions])  # [steps, E]
    seen = set()
    for i in range(4 * 64):
        slot = int(batch.index.reshape(-1)[i])
        place, e = slot // 3, slot % 3
        newest = int(batch.observation.reshape(-1, 3, 20, 20)[i, -1, 0, 0])
        # The frame's number is its row: 96 rows are below 256.
        row = newest
        assert row % 17 == place
        seen.add((row, e))
        begins = row - row % lengths[e]
        expected = [row - back if row - back >= begins else 0 for back in (2, 1, 0)]
        assert batch.observation.reshape(-1, 3, 20, 20)[i, :, 0, 0].tolist() == expected
        assert int(batch.action.reshape(-1)[i]) == int(actions[row, e])
        total, discount, after = 0.0, 1.0, row
        for k in range(n):
            total += discount * (row + k + 1)
            discount *= gamma
            after = row + k + 1
            if after % lengths[e] == 0:
                discount = 0.0
                break
        assert float(batch.n_step_return.reshape(-1)[i]) == pytest.approx(total)
        assert float(batch.bootstrap_discount.reshape(-1)[i]) == pytest.approx(discount)
        if discount:
            next_pixels = batch.next_observation.reshape(-1, 3, 20, 20)[i, :, 0, 0].tolist()
            begins = after - after % lengths[e]
            assert next_pixels == [after - back if after - back >= begins else 0 for back in (2, 1, 0)]
    rows = [row for row, _ in seen]
    # The oldest row whose stack is whole, and the newest whose window is.
    assert min(rows) == steps - 17 + 2
    assert max(rows) == steps - n - 1


def test_priorities_decide_how_often_a_slot_is_drawn(tiny_config):
    config = tiny_config()
    replay = make_replay(50, 2, stack=2, n_step=1, priority_exponent=1.0, importance_exponent=1.0)
    fill(config, CountingEnv([10, 10]), 50, replay)
    every = torch.arange(100)
    replay.update_priorities(every, torch.full((100,), 0.09))
    replay.update_priorities(torch.tensor([40]), torch.tensor([0.89]))
    batch = replay.sample(1, 20_000)
    count = torch.bincount(batch.index.reshape(-1), minlength=100).float()
    drawable = [r * 2 + e for r in replay.rows_drawable for e in range(2)]
    others = [slot for slot in drawable if slot != 40]
    # Priorities 0.9 against 0.1: nine times as often.
    assert count[40] / count[others].mean() == pytest.approx(9.0, rel=0.1)
    assert count.sum() == count[drawable].sum()
    weight = batch.weight.reshape(-1)
    index = batch.index.reshape(-1)
    assert weight[index == 40].mean() == pytest.approx(1 / 9, rel=0.01)
    assert weight[index != 40].mean() == pytest.approx(1.0, rel=0.01)


def test_uniform_draws_reach_every_drawable_slot_about_alike(tiny_config):
    config = tiny_config()
    replay = make_replay(20, 2, stack=2, n_step=1)
    fill(config, CountingEnv([10, 10]), 30, replay)
    count = torch.bincount(replay.sample(1, 20_000).index.reshape(-1), minlength=40)
    drawn = count[count > 0]
    assert len(drawn) == 2 * len(replay.rows_drawable)
    assert drawn.min() > 0.7 * drawn.float().mean()


def test_state_comes_back_whole(tiny_config):
    config = tiny_config()
    replay, other = (make_replay(20, 2, stack=2, priority_exponent=0.6) for _ in range(2))
    fill(config, CountingEnv([10, 10]), 30, replay)
    replay.sample(1, 4)
    other.load_state_dict(replay.state_dict())
    first, second = replay.sample(2, 16), other.sample(2, 16)
    for name, tensor in vars(first).items():
        assert torch.equal(tensor, getattr(second, name)), name


def test_how_far_a_return_reaches_can_change_and_comes_back(tiny_config):
    config = tiny_config(envs={"frame_stack": 3})
    replay, other = make_replay(), make_replay()
    fill(config, CountingEnv([4]), 10, replay)
    replay.lead(3, 0.25, 0.75)
    other.load_state_dict(replay.state_dict())
    for each in (replay, other):
        # Row r earns reward r + 1; row 3 is terminal; the last rows have no whole window.
        sample = gather(each, [0, 1])
        assert sample["n_step_return"].tolist() == [1 + 2 / 4 + 3 / 16, 2 + 3 / 4 + 4 / 16]
        assert sample["bootstrap_discount"].tolist() == [1 / 64, 0]
        assert each.rows_drawable == range(2, 7)
        assert each.settings.importance_exponent == 0.75


def test_a_ring_of_another_shape_is_refused(tiny_config):
    replay = make_replay(20, 2)
    fill(tiny_config(envs={"frame_stack": 3}), CountingEnv([10, 10]), 10, replay)
    with pytest.raises(ValueError, match="shape"):
        make_replay(20, 3).load_state_dict(replay.state_dict())


def test_mean_frame_equals_torchs_mean(tiny_config):
    replay = make_replay(100, 2)
    fill(tiny_config(envs={"frame_stack": 3}), CountingEnv([10, 10]), 90, replay)
    mean, deviation = mean_frame(replay.frame_sums())
    stored = replay.ring.frame[:90].double()
    assert torch.allclose(mean.double(), stored.mean((0, 1)), atol=1e-4)
    assert deviation == pytest.approx(float((stored - stored.mean((0, 1))).square().mean().sqrt()), rel=1e-6)


def test_the_sums_of_rows_follow_every_change(tiny_config):
    config = tiny_config()
    replay, other = (make_replay(17, 3, stack=2, n_step=1, priority_exponent=0.6) for _ in range(2))

    def check(replay):
        ring = replay.ring
        assert torch.allclose(ring.row_priority, ring.priority.sum(1, dtype=torch.float64), rtol=1e-12)

    fill(config, CountingEnv([5, 7, 9]), 10, replay)
    check(replay)
    for _ in range(3):
        # Each slot is drawn several times, with different errors.
        batch = replay.sample(2, 64)
        replay.update_priorities(batch.index, torch.rand(2, 64))
        check(replay)
        fill(config, CountingEnv([5, 7, 9]), 12, replay, rollout_steps=4)
        check(replay)
    fill(config, CountingEnv([5, 7, 9]), 17, other)
    other.load_state_dict(replay.state_dict())
    check(other)


def play_and_draw(config, replays):
    """What several replays draw from the same games, while settings and priorities change."""
    envs = [CountingEnv([5, 7, 9]) for _ in replays]
    drawn = [[] for _ in replays]
    for round_ in range(16):
        for replay, env, batches in zip(replays, envs, drawn, strict=True):
            fill(config, env, 7, replay)
            if round_ == 8:
                replay.lead(3, 0.25, 0.75)
            batch = replay.sample(2, 16)
            replay.update_priorities(batch.index, batch.n_step_return / 100)
            batches.append({name: tensor.clone() for name, tensor in vars(batch).items()})
    return drawn


def captured_replay(tapes, **settings):
    """A replay whose work a tape does."""
    replay = make_replay(31, 3, stack=2, n_step=5, **settings)
    for name, work in (("_write", replay.ring.write), ("_set_priority", replay._prioritised)):
        tapes.append(Tape())
        setattr(replay, name, Captured(name, work, replay.device, lambda tape=tapes[-1]: tape))
    # Drawing changes nothing, so what it gives may be asked for beforehand.
    fill_once = make_replay(31, 3, stack=2, n_step=5, **settings)
    results = fill_once._drawn(
        torch.ones(4, dtype=torch.float64), torch.arange(5), *fill_once._chances(range(1, 2), 32)
    )
    for _ in range(2):
        tapes.append(Tape(*(torch.empty_like(result) for result in results)))
    replay._draw = Captured("drawing", replay._drawn, replay.device, iter(tapes[-2:]).__next__)
    return replay


@pytest.mark.parametrize("priority_exponent", [0.0, 0.6])
def test_captured_draws_are_the_same_draws(tiny_config, priority_exponent):
    tapes = []
    settings = {"priority_exponent": priority_exponent}
    replays = [make_replay(31, 3, stack=2, n_step=5, **settings), captured_replay(tapes, **settings)]
    for number, (plain, captured) in enumerate(zip(*play_and_draw(tiny_config(), replays), strict=True)):
        for name, tensor in plain.items():
            assert torch.equal(captured[name], tensor), (number, name)
    # One step is stored at a time; a return of another reach is captured anew.
    assert [tape.replayed for tape in tapes] == [
        16 * 7 - 1 - CALLS_BEFORE, 16 - CALLS_BEFORE, 8 - CALLS_BEFORE, 8 - CALLS_BEFORE,
    ]  # fmt: skip


@pytest.mark.gpu
@pytest.mark.parametrize("priority_exponent", [0.0, 0.6])
def test_cuda_graphs_draw_what_is_drawn_kernel_by_kernel(tiny_config, priority_exponent, caplog):
    settings = ReplaySettings(2, 5, 0.5, priority_exponent)
    replays = [Replay(31, 3, 20, 20, settings, 0, "cuda", is_captured=graph) for graph in (False, True)]
    for number, (plain, captured) in enumerate(zip(*play_and_draw(tiny_config(), replays), strict=True)):
        for name, tensor in plain.items():
            assert torch.equal(captured[name], tensor), (number, name)
    assert not caplog.messages


@pytest.mark.parametrize("rows", [3, 50])
def test_saving_takes_no_second_replay(tiny_config, rows):
    replay = make_replay(20, 2, stack=2)
    fill(tiny_config(), CountingEnv([10, 10]), rows, replay)
    frame = replay.state_dict()["ring"]["frame"]
    assert frame.data_ptr() == replay.ring.frame.data_ptr()
    # What is saved with a tensor is all the memory behind it: just the rows that were written.
    assert frame.untyped_storage().nbytes() == min(rows, 20) * replay.ring.frame[0].numel()
