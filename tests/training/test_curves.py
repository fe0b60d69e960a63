"""Curves of a run that was killed and goes on from a checkpoint."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_speed.training.curves import cut_curves
from rl_speed.training.logger import TensorBoardTracker


def write(folder, episodes, env_steps):
    logger = TensorBoardTracker(folder, print)
    for episode in episodes:
        logger.write({"reward": float(episode), "avg_reward": 1.0, "steps": 2.0}, episode)
    for x in env_steps:
        logger.write({"loss": float(x)}, x)
    logger.experiment.close()


def read(folder, tag):
    events = EventAccumulator(str(folder))
    events.Reload()
    # Files of one second are read in the order of their names, not of their making.
    return sorted(event.step for event in events.Scalars(tag))


def test_points_beyond_the_checkpoint_are_cut_on_both_axes(tmp_path):
    write(tmp_path, range(1, 9), range(100, 900, 100))
    cut_curves(tmp_path, episodes=5, env_steps=600, gradient_steps=0)
    assert read(tmp_path, "reward") == [1, 2, 3, 4, 5]
    assert read(tmp_path, "loss") == [100, 200, 300, 400, 500, 600]
    write(tmp_path, range(6, 8), [700])
    assert read(tmp_path, "reward") == [1, 2, 3, 4, 5, 6, 7]
    assert read(tmp_path, "loss") == [100, 200, 300, 400, 500, 600, 700]


def test_half_a_record_that_a_kill_has_left_is_cut(tmp_path):
    write(tmp_path, range(1, 4), [100])
    (path,) = tmp_path.glob("events*")
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    cut_curves(tmp_path, episodes=3, env_steps=100, gradient_steps=0)
    assert path.stat().st_size < len(whole) - 5
    assert read(tmp_path, "reward") == [1, 2, 3]


def test_curves_with_nothing_to_cut_are_left_alone(tmp_path):
    write(tmp_path, range(1, 4), [100])
    (path,) = tmp_path.glob("events*")
    before = path.stat()
    cut_curves(tmp_path, episodes=3, env_steps=100, gradient_steps=0)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
