"""What a run really does: decided once, with a reason for each choice."""

import stat

import pytest
import torch

from rl_speed.config import load_config
from rl_speed.config.rules import check_rules
from rl_speed.experience.parts import Parts
from rl_speed.learner.network import make_network
from rl_speed.system import compiler, cores
from rl_speed.system.errors import ConfigError, UserError
from rl_speed.training import decisions, trackers
from rl_speed.training import plan as module
from rl_speed.training.plan import decided_fields, default_preset, make_plan
from rl_speed.training.probe import Probe, Variant
from rl_speed.training.ranks.place import Place
from rl_speed.training.threads import Threads


def measured(precision, shards=2, fused=True):
    """A probe of a machine of the given kind."""
    chosen = Variant(precision, fused, shards)
    other = Variant("bf16" if precision == "fp32" else "fp32", fused, shards)
    return Probe(chosen, {chosen: 10.0, other: 30.0}, 0.4)


@pytest.fixture
def probed(monkeypatch):
    """The number of times that the update was timed, and a machine that is fast in float32."""
    calls = []

    def kept_probe(config, parts, threads):
        calls.append(config)
        return measured("fp32"), False

    monkeypatch.setattr(decisions, "kept_probe", kept_probe)
    return calls


@pytest.fixture
def no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    compiler.find_compiler.cache_clear()
    yield
    compiler.find_compiler.cache_clear()


def test_what_is_open_is_measured_and_what_is_set_is_not(probed):
    plan = make_plan(load_config("fast_cpu", ["envs.backend=ale_vector"]))
    assert (plan.config.update.precision, plan.config.update.shards, plan.config.network.fused) == ("fp32", 2, True)
    assert plan.asked.update.precision == "auto"
    reason = plan.decisions["update.precision"].reason
    assert reason == "10.0 ms a gradient step, bf16 30.0; measured now, in 0.4 s"
    assert len(probed) == 1
    make_plan(load_config("baseline"))
    settled = ["update.precision=bf16", "update.shards=1", "network.fused=false", "envs.backend=ale_vector"]
    assert make_plan(load_config("fast_cpu", settled)).config.update.uses_bf16
    assert len(probed) == 1


def test_only_the_rank_that_draws_curves_needs_their_package(probed, monkeypatch):
    monkeypatch.setattr(trackers, "NEEDED", {"wandb": ("no_such_package",)})
    config = load_config("baseline", ["logging.kind=wandb"])
    with pytest.raises(ConfigError, match=r"logging.kind = wandb needs no_such_package"):
        make_plan(config)
    assert make_plan(config, place=Place(1, 2, 1, 2)).asked == config


def test_what_is_set_stays_beside_what_is_measured(probed):
    plan = make_plan(load_config("fast_cpu", ["update.precision=bf16", "envs.backend=ale_vector"]))
    assert plan.config.update.precision == "bf16"
    assert plan.decisions["update.precision"].reason == "as configured"
    assert probed[0].update.precision == "bf16"


def test_a_resumed_run_goes_on_as_it_was(probed):
    kept = {"update.precision": "bf16", "update.shards": 4, "network.fused": False, "envs.backend": "ale_vector"}
    plan = make_plan(load_config("fast_cpu"), kept=kept)
    assert plan.kept() == {**kept, "update.compile": False, "update.first_shard": "auto"}
    assert plan.decisions["update.precision"].reason == "as in the checkpoint"
    assert not probed
    assert decided_fields(plan.summary()) == plan.kept()


@pytest.mark.parametrize("change", ["update.batch_size=255", "update.compile=true"])
def test_parts_of_a_checkpoint_that_do_not_fit_a_change_are_decided_anew(change, probed, monkeypatch):
    monkeypatch.setattr(decisions, "kept_probe", lambda config, parts, threads: (measured("fp32", shards=1), False))
    monkeypatch.setattr(decisions, "compiler_of_torch", lambda: "g++")
    kept = {"update.precision": "fp32", "update.shards": 2, "network.fused": False, "envs.backend": "ale_vector"}
    plan = make_plan(load_config("fast_cpu", [change]), kept=kept)
    assert plan.config.update.shards == 1
    check_rules(plan.config)  # or its checkpoints could not be read


def test_a_network_of_the_callers_is_looked_at_before_it_is_timed(probed):
    parts = Parts(None, lambda shape, actions: torch.nn.Flatten())
    with pytest.raises(ConfigError, match=r"network: it gives \(2, \d+\)"):
        make_plan(load_config("fast_cpu", ["envs.backend=ale_vector"]), parts)
    assert not probed


def test_one_line_says_what_was_chosen_and_why(probed):
    lines = make_plan(load_config("fast_cpu", ["envs.backend=ale_vector"])).lines()
    assert len(lines) == 1
    assert lines[0].startswith("chosen for this machine: update.precision = fp32 (10.0 ms a gradient step, bf16 30.0;")
    assert "update.shards = 2 (" in lines[0]
    assert make_plan(load_config("baseline")).lines() == []


@pytest.mark.parametrize(
    ("overrides", "backend"),
    [([], "ale_vector"), (["envs.mode=1"], "classic"), (["envs.difficulty=1"], "classic")],
)
def test_without_a_compiler_ale_py_plays_the_same_variant(overrides, backend, no_compiler, probed):
    plan = make_plan(load_config("fast_cpu", overrides))
    assert plan.config.envs.backend == backend
    assert (plan.config.envs.mode, plan.config.envs.difficulty) == (plan.asked.envs.mode, plan.asked.envs.difficulty)
    assert list(plan.replaced()) == ["envs.backend"]
    line = plan.lines()[0]
    assert line.startswith(f"envs.backend = {backend}: ale-py plays")
    assert "install g++" in line


def failing(tmp_path):
    path = tmp_path / "failing"
    path.write_text('#!/bin/sh\n[ "$1" = --version ] && echo 1.0 && exit 0\necho "no such flag" >&2\nexit 1\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_compiler_that_fails_is_the_same_case(tmp_path, monkeypatch, probed):
    monkeypatch.setenv("CXX", str(failing(tmp_path)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    compiler.find_compiler.cache_clear()
    try:
        plan = make_plan(load_config("fast_cpu", ["envs.mode=1"]))
    finally:
        compiler.find_compiler.cache_clear()
    assert plan.config.envs.backend == "classic"
    assert "no such flag" in plan.lines()[0]


def test_a_cache_that_cannot_be_written_is_the_same_case(tmp_path, monkeypatch, probed):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    plan = make_plan(load_config("fast_cpu"))
    assert plan.config.envs.backend == "ale_vector"
    assert "set XDG_CACHE_HOME" in plan.lines()[0]


def test_a_cache_that_may_not_hold_programs_is_the_same_case(monkeypatch, probed):
    def refuse(path):
        raise OSError(f"{path}: failed to map segment from shared object: Operation not permitted")

    monkeypatch.setattr("rl_speed.system.code_cache.ctypes.CDLL", refuse)
    plan = make_plan(load_config("fast_cpu"))
    assert plan.config.envs.backend == "ale_vector"
    assert "Operation not permitted" in plan.lines()[0]


def test_a_resumed_run_of_our_emulator_is_not_played_by_another(no_compiler):
    with pytest.raises(UserError, match="is played on our own emulator"):
        make_plan(load_config("fast_cpu"), kept={"envs.backend": "native"})


def test_without_a_compiler_nothing_is_compiled(no_compiler):
    plan = make_plan(load_config("baseline", ["update.compile=true"]))
    assert plan.config.update.compile is False
    assert "install g++" in plan.lines()[0]


def test_cores_and_seeds_are_part_of_it(monkeypatch, probed):
    monkeypatch.setattr(module, "usable_cores", lambda: cores.Cores(1, 1, "1 of the machine's 2 (affinity)"))
    plan = make_plan(load_config("baseline"))
    assert plan.learner_threads == 1
    assert "affinity" in plan.decisions["update.threads"].reason
    other = make_plan(load_config("baseline"), attempt=5)
    # Games that have to start anew on resume are other ones.
    for name in ("env", "policy", "replay", "actors"):
        assert getattr(plan.seeds, name) != getattr(other.seeds, name)


def test_no_two_seeds_are_alike():
    seeds = make_plan(load_config("actors", ["actors.count=3"])).seeds
    every = [
        seeds.policy,
        seeds.replay,
        seeds.env,
        seeds.confirmation,
        *(seed for pair in seeds.actors for seed in pair),
    ]
    assert len(set(every)) == len(every) == 10


def test_a_replay_that_does_not_fit_is_refused_before_anything_is_built(monkeypatch):
    monkeypatch.setattr(decisions, "free_memory_bytes", lambda: 10_000_000)
    with pytest.raises(ConfigError, match=r"replay\.capacity_env_steps = 100000 takes 0\.7 GB, but only 0\.0 GB"):
        make_plan(load_config("baseline"))


def test_an_own_network_is_neither_fused_nor_kept_apart(tmp_path, monkeypatch):
    config = load_config("smoke", ["update.precision=auto", "network.fused=auto"])
    parts = Parts(own_network=lambda shape, actions: make_network(load_config("smoke").network, shape, actions))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plan = make_plan(config, parts)
    assert plan.config.network.fused is False
    assert not (tmp_path / "rl_speed" / "probes").exists()


def test_an_undecided_configuration_reaches_no_part():
    config = load_config("fast_cpu")
    for read in (
        lambda: config.update.uses_bf16,
        lambda: config.update.num_shards,
        lambda: config.network.is_fused,
    ):
        with pytest.raises(AssertionError, match="decides"):
            read()


def test_a_gpu_that_is_asked_for_is_not_taken_for_a_replacement(monkeypatch):
    monkeypatch.setattr(decisions, "has_cuda", lambda: True)
    monkeypatch.setattr(decisions, "_cuda_precision", lambda: {"update.precision": "bf16"})
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (10**12, 10**12))
    monkeypatch.setattr(decisions, "gpu_names", lambda: ["a GPU"])
    plan = make_plan(load_config("fast_gpu", ["envs.backend=ale_vector"]))
    assert (plan.device, plan.config.update.precision, plan.config.update.shards) == ("cuda:0", "bf16", 1)
    assert plan.config.update.cuda_graph is True
    assert plan.replaced() == {}


@pytest.mark.parametrize(
    ("overrides", "device", "expected"),
    [
        ({}, "cuda:0", True),
        ({"update.cuda_graph": False}, "cuda:0", False),
        ({}, "cpu", False),
        ({"update.compile": True}, "cuda:0", False),
        ({"trainer.devices": 2}, "cuda:0", True),
    ],
)
def test_gradient_steps_are_captured_where_gpus_learn(overrides, device, expected):
    config = load_config("smoke", {"envs.count": 4, **overrides})
    assert decisions.decide_cuda_graph(config, Parts(), device).value is expected


@pytest.mark.parametrize(
    ("overrides", "device", "reason"),
    [
        ({}, "cpu", "on the CPU"),
        ({"update.compile": True}, "cuda:0", "with update.compile = true"),
    ],
)
def test_a_graph_that_cannot_be_had_is_refused(overrides, device, reason):
    config = load_config("smoke", {"envs.count": 4, **overrides, "update.cuda_graph": True})
    with pytest.raises(ConfigError, match=rf"update\.cuda_graph = true cannot be {reason}; set it to auto"):
        decisions.decide_cuda_graph(config, Parts(), device)


def test_a_network_of_the_callers_own_is_captured_only_where_that_is_asked_for():
    parts = Parts(own_network=lambda shape, num_actions: torch.nn.Linear(1, num_actions))
    for asked, expected in (("auto", False), (True, True)):
        config = load_config("smoke", {"update.cuda_graph": asked})
        assert decisions.decide_cuda_graph(config, parts, "cuda:0").value is expected


@pytest.mark.parametrize(
    ("asked", "shards", "left", "kept", "expected"),
    [
        ("auto", 2, -1, {}, decisions.FIRST_OF_TWO),  # an actor plays on the second part's core
        ("auto", 2, 0, {}, "auto"),
        ("auto", 1, -1, {}, "auto"),
        ("auto", 4, -1, {}, "auto"),
        ("auto", 2, -2, {}, "auto"),  # actors play on both
        ("auto", 2, -1, {"update.shards": 2, "update.first_shard": "auto"}, "auto"),
        ("auto", 4, 0, {"update.shards": 2, "update.first_shard": 0.66}, "auto"),  # more cores than before
        (0.5, 2, -1, {}, 0.5),
    ],
)
def test_the_part_that_has_a_core_for_itself_is_the_larger_one(asked, shards, left, kept, expected):
    config = load_config("fast_cpu", {"update.first_shard": asked, "update.shards": shards})
    assert decisions.decide_first_shard(config, Threads(2, 1, "", left), kept).value == expected


@pytest.mark.parametrize(
    ("overrides", "own_env", "expected"),
    [
        ((), False, "fast"),
        ({"envs.game": "pong"}, False, "fast"),
        (["replay.n_step=3"], False, "fast"),
        ({"envs.game": "breakout"}, False, "atari"),
        (["envs.count=3", "envs.game=breakout"], False, "atari"),
        ({"envs.id": "CarRacing-v3"}, False, "atari"),
        ((), True, "atari"),
    ],
)
def test_a_run_without_a_preset_takes_one_that_was_made_for_its_game(overrides, own_env, expected):
    preset, why = default_preset(overrides, own_env)
    assert preset.startswith(expected)
    assert (why == "for any game; fast_cpu was made for pong") == (expected == "atari") or "gpu" in why
