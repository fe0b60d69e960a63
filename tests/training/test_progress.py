"""What a person sees in a terminal of 80 columns, and in a log."""

import io
import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from rl_speed.config import StopConfig
from rl_speed.training import progress
from rl_speed.training.progress import ProgressBar, film_bar, games_bar
from tests.training.stand_ins import end, fake_dataset, fake_trainer, make_statistics


class Screen(io.StringIO):
    """What a terminal is sent."""

    def isatty(self):
        return True


def shown(config, columns, returns=(-21.0, -3.25), is_terminal=True):
    statistics = make_statistics(2, 1, config.reward)
    for value in returns:
        statistics.count(end(value), 0, 1.0)
    console = Console(file=Screen() if is_terminal else io.StringIO(), width=columns, color_system=None)
    meter, policy = SimpleNamespace(env_steps_per_second=12_345.0), SimpleNamespace(epsilon=0.5)
    bar = ProgressBar(config, fake_dataset(1_234_567), policy, statistics, meter, lambda: 3723.0, console)
    trainer = fake_trainer()
    bar.on_train_start(trainer, None)
    bar._bar._next_show, bar._lowest = 0.0, -60.0
    bar.on_train_batch_end(trainer)
    bar.on_train_end(trainer, None)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())
    return [line.rstrip() for line in text.replace("\r", "\n").splitlines() if "avg_reward" in line]


def test_80_columns_keep_the_bar_the_reward_and_the_time():
    line = shown(StopConfig(reward=19.5), 80)[-1]
    assert len(line) <= 80
    assert "avg_reward -12.12 of 19.5" in line
    assert "1:02:03" in line
    assert re.search("[━-]{10}", line)


def test_a_wide_terminal_has_all_of_it():
    line = shown(StopConfig(reward=19.5), 160)[-1]
    for part in ("avg_reward -12.12 of 19.5", "1:02:03", "2 games", "12,345 fps", "epsilon 0.500", "1,234,567 env"):
        assert part in line


def test_a_log_gets_whole_lines():
    (line,) = shown(StopConfig(reward=19.5), 20, is_terminal=False)
    assert line.startswith("training  avg_reward -12.12 of 19.5  1:02:03")
    assert line.endswith("1,234,567 env steps")


def test_a_log_stays_one_where_colours_are_forced(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    (line,) = shown(StopConfig(reward=19.5), 80, is_terminal=False)
    assert line.startswith("training  avg_reward")


def test_without_a_goal_there_is_no_way_to_it():
    line = shown(StopConfig(reward=None), 80)[-1]
    assert "avg_reward -12.12  1:02:03" in line
    assert " of " not in line


def test_games_that_judge_are_shown_as_they_go(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    console = Console(file=io.StringIO(), width=80)
    with games_bar(console, "evaluating", 30) as on_step:
        for step, games in ((1, 0), (500, 2), (900, 12)):
            now[0] = float(step) / 25
            on_step(games, step)
    assert console.file.getvalue().splitlines() == [
        "evaluating  2 of 30 games  500 env steps each",
        "evaluating  12 of 30 games  900 env steps each",
    ]


def test_a_game_that_is_filmed_is_shown_as_it_goes(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    console = Console(file=io.StringIO(), width=80)
    with film_bar(console) as on_step:
        on_step(1.0, 10)
        now[0] = 20.0
        on_step(-3.0, 1234)
    assert console.file.getvalue() == "filming  score -3  1,234 env steps\n"


@pytest.mark.parametrize(("average", "share"), [(-21.0, 0.0), (-0.75, 0.5), (19.5, 1.0), (30.0, 1.0)])
def test_the_bar_goes_from_the_first_game_to_the_goal(average, share):
    bar = ProgressBar(StopConfig(reward=19.5), fake_dataset(), None, None, None, None, Console(file=io.StringIO()))
    bar._lowest = -21.0
    assert bar._share_of_way(average) == pytest.approx(share)
