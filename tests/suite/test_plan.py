"""A plan is made, added to, and never contradicted."""

import json
from dataclasses import replace

import pytest

from rl_speed.suite.plan import Asked, configs_of, make_plan, read_facts, read_plan, write_plan
from rl_speed.system.errors import ConfigError, UserError
from tests.suite.made_up import plan_for

ASKED = Asked("pong,breakout", 2, None, ("smoke",), 6000, None, 3, 0.01, None, ("envs.noop_max=5",))


def test_every_game_comes_before_the_next_seed():
    plan = plan_for("pong,breakout", 2)
    order = [(run.seed, run.game, run.preset) for run in plan.runs()]
    assert order[:4] == [
        (0, "pong", "baseline"), (0, "pong", "smoke"), (0, "breakout", "baseline"), (0, "breakout", "smoke"),
    ]  # fmt: skip
    assert len(order) == len(set(order)) == 8


def test_a_plan_comes_back_as_it_was_written(tmp_path):
    plan = make_plan(None, ASKED)
    write_plan(tmp_path, plan, configs_of(plan))
    assert read_plan(tmp_path) == plan
    facts = read_facts(tmp_path)
    assert facts["machine"]["cores"] >= 1
    assert facts["versions"]["python"]


@pytest.mark.parametrize("asked", [Asked(), ASKED, replace(ASKED, games="breakout", seeds=1)])
def test_the_same_or_less_changes_nothing(asked):
    plan = make_plan(None, ASKED)
    assert make_plan(plan, asked) == plan


def test_games_seeds_and_presets_are_added():
    plan = make_plan(None, ASKED)
    more = make_plan(plan, Asked("qbert", 1, 7, ("baseline",)))
    assert more.games == ("pong", "breakout", "qbert")
    assert more.seeds == (0, 1, 7)
    assert list(more.presets) == ["smoke", "baseline"]
    assert replace(more, games=plan.games, seeds=plan.seeds, presets=plan.presets) == plan


def test_more_seeds_follow_the_first_one_that_the_suite_has():
    plan = make_plan(None, replace(ASKED, first_seed=10))
    assert plan.seeds == (10, 11)
    assert make_plan(plan, Asked(seeds=4)).seeds == (10, 11, 12, 13)
    assert make_plan(plan, Asked(seeds=1, first_seed=0)).seeds == (0, 10, 11)


def test_the_same_changes_in_another_order_are_no_contradiction():
    plan = make_plan(None, replace(ASKED, overrides=("envs.noop_max=5", "update.learning_rate=1e-4")))
    assert make_plan(plan, Asked(overrides=("update.learning_rate=0.0001", "envs.noop_max=5"))) == plan
    with pytest.raises(ConfigError, match="contradicts this suite"):
        make_plan(plan, Asked(overrides=("envs.noop_max=5",)))


@pytest.mark.parametrize(
    "change",
    [
        {"env_steps": 7000}, {"max_seconds": 60.0}, {"episodes": 4}, {"epsilon": 0.0}, {"sticky": 0.25},
        {"overrides": ("envs.noop_max=6",)},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_what_contradicts_is_refused(change):
    with pytest.raises(ConfigError, match="contradicts this suite"):
        make_plan(make_plan(None, ASKED), Asked(**change))


@pytest.mark.parametrize(("before", "text"), [(0.0, "0.0"), (None, "none")])
def test_a_contradiction_names_what_there_was(before, text):
    plan = make_plan(None, replace(ASKED, sticky=before))
    with pytest.raises(ConfigError, match=f"--sticky 0.25 contradicts this suite, which was started with {text};"):
        make_plan(plan, Asked(sticky=0.25))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"games": None}, "--games is missing"),
        ({"presets": ()}, "--preset is missing"),
        ({"env_steps": None}, "--env-steps or --max-time is missing"),
        ({"presets": ("smokee",)}, "did you mean smoke"),
        ({"presets": ("~no_such_user/fast.yaml",)}, "no_such_user"),
        ({"overrides": ("seed=3",)}, "the suite sets seed itself"),
        ({"overrides": ("envs.game=qbert",)}, "the suite sets envs.game itself"),
        ({"overrides": ("x",)}, "section.field=value"),
    ],
)
def test_bad_input_is_one_sentence(change, part):
    with pytest.raises(ConfigError, match=part) as caught:
        make_plan(None, replace(ASKED, **change))
    assert "\n" not in str(caught.value)


def test_a_run_has_no_goal_and_no_limit_but_the_suites():
    plan = make_plan(None, replace(ASKED, games="pong", env_steps=None, max_seconds=60.0))
    stop = configs_of(plan)["smoke", "pong"].stop  # smoke itself has 6,000 env steps
    assert (stop.reward, stop.max_env_steps, stop.max_gradient_steps, stop.max_seconds) == (None, None, None, 60.0)


def test_a_preset_file_that_has_changed_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: smoke\n")
    plan = make_plan(None, replace(ASKED, presets=(str(path),)))
    assert list(plan.presets) == ["mine"]
    write_plan(tmp_path, plan, configs_of(plan))
    write_plan(tmp_path, plan, configs_of(plan))
    path.write_text("extends: smoke\nupdate: {learning_rate: 0.5}\n")
    with pytest.raises(ConfigError, match="preset mine gives another configuration for pong"):
        write_plan(tmp_path, plan, configs_of(plan))
    other = tmp_path / "other" / "mine.yaml"
    other.parent.mkdir()
    other.write_text("extends: smoke\n")
    with pytest.raises(ConfigError, match="rename the file"):
        make_plan(plan, Asked(presets=(str(other),)))


def test_a_field_that_a_newer_version_has_is_no_change_as_long_as_it_has_its_default(tmp_path):
    plan = make_plan(None, replace(ASKED, games="pong"))
    write_plan(tmp_path, plan, configs_of(plan))
    content = json.loads((tmp_path / "suite.json").read_text())
    older = content["configurations"]["smoke/pong"]
    del older["update"]["adam_epsilon"], older["annealing"]  # as if they had not been known
    (tmp_path / "suite.json").write_text(json.dumps(content))
    write_plan(tmp_path, plan, configs_of(plan))
    path = tmp_path / "smoke.yaml"
    path.write_text("extends: smoke\nupdate: {adam_epsilon: 1e-5}\n")
    changed = replace(plan, presets={"smoke": str(path)})
    with pytest.raises(ConfigError, match=r"update\.adam_epsilon is another"):
        write_plan(tmp_path, changed, configs_of(changed))


@pytest.mark.parametrize("left", ["score.json", "version_0/config.yaml"])
def test_runs_whose_plan_is_gone_are_not_taken_for_others(left, tmp_path):
    plan = make_plan(None, ASKED)
    path = plan.runs()[2].folder(tmp_path) / left
    path.parent.mkdir(parents=True)
    path.write_text("")
    with pytest.raises(UserError, match=r"--out .* holds runs, such as .*, but not their plan, suite\.json"):
        write_plan(tmp_path, plan, configs_of(plan))
    assert not (tmp_path / "suite.json").exists()


def test_a_file_may_not_take_the_name_of_a_preset(tmp_path):
    path = tmp_path / "baseline.yaml"
    path.write_text("extends: smoke\n")
    with pytest.raises(ConfigError, match="rename the file"):
        make_plan(None, replace(ASKED, presets=(str(path),)))


def test_several_machines_for_one_run_are_refused():
    plan = make_plan(None, replace(ASKED, overrides=("trainer.launcher=ray",)))
    with pytest.raises(ConfigError, match="--address"):
        configs_of(plan)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 0}', '{"format": 1}'])
def test_a_broken_plan_is_one_sentence(tmp_path, text):
    (tmp_path / "suite.json").write_text(text)
    with pytest.raises(UserError, match=r"suite\.json"):
        read_plan(tmp_path)


def test_a_folder_without_a_suite_is_one_sentence(tmp_path):
    assert read_plan(tmp_path) is None
    with pytest.raises(UserError, match="holds no suite"):
        read_facts(tmp_path)
