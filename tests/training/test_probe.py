"""The real gradient step, timed in every way that is open, and the answer kept."""

import json
import re

import pytest

from rl_speed.config import load_config
from rl_speed.experience.parts import Parts
from rl_speed.training import probe as module
from rl_speed.training.probe import Probe, Variant, kept_probe, probe_update
from rl_speed.training.threads import Threads

OPEN = ["update.precision=auto", "update.shards=auto", "network.fused=auto"]
THREADS = Threads(2, 1, "")


@pytest.fixture
def speeds(monkeypatch):
    """Milliseconds by variant instead of a clock, and the variants that were asked, in order."""
    times, asked = {}, []

    class Candidate:
        def __init__(self, variant, *_):
            self.variant = variant

        def milliseconds(self):
            asked.append(self.variant)
            return times[self.variant]

        def close(self):
            pass

    monkeypatch.setattr(module, "_Candidate", Candidate)
    return times, asked


def all_variants():
    return [Variant(p, f, s) for p in ("fp32", "bf16") for f in (True, False) for s in (1, 2)]


@pytest.mark.parametrize("best", all_variants())
def test_the_fastest_variant_is_chosen(best, speeds):
    times, _ = speeds
    for variant in all_variants():
        differing = sum(getattr(variant, name) != getattr(best, name) for name in ("precision", "fused", "shards"))
        times[variant] = 10.0 * 1.6**differing  # by more than what is demanded of fewer parts and of float32
    probe = probe_update(load_config("smoke", OPEN), Parts(), THREADS)
    assert probe.chosen == best
    for name in ("precision", "fused", "shards"):  # whichever was decided first, each tells what it was compared with
        others = {str(getattr(variant, name)).lower() for variant in all_variants()} - {
            str(getattr(best, name)).lower()
        }
        assert re.fullmatch(rf"[\d.]+ ms a gradient step, {others.pop()} [\d.]+", probe.text(name))


@pytest.mark.parametrize(("milliseconds", "chosen"), [(14.0, "bf16"), (16.0, "fp32")])
def test_bfloat16_goes_before_float32_that_is_not_much_faster(milliseconds, chosen, speeds):
    times, _ = speeds
    for variant in all_variants():
        times[variant] = milliseconds if variant.precision == "bf16" else 10.0
    probe = probe_update(load_config("smoke", OPEN), Parts(), THREADS)
    assert probe.chosen.precision == chosen
    told = "14.0 ms a gradient step, fp32 10.0, which has to be 1.5 times as fast"
    assert probe.text("precision") == (told if chosen == "bf16" else "10.0 ms a gradient step, bf16 16.0")


def test_what_is_hopeless_is_tried_once(speeds):
    times, asked = speeds
    for variant in all_variants():
        times[variant] = 100.0 if variant.precision == "bf16" else 10.0
    assert probe_update(load_config("smoke", OPEN), Parts(), THREADS).chosen.precision == "fp32"
    assert sum(variant.precision == "bf16" for variant in asked) == 2  # once to prepare, once timed


def test_more_parts_go_before_fewer_of_about_the_same_speed(speeds):
    times, _ = speeds
    for variant in all_variants():
        times[variant] = 10.0 if variant.shards == 2 else 8.5
    assert probe_update(load_config("smoke", OPEN), Parts(), THREADS).chosen.shards == 2


def test_a_probe_on_a_busy_machine_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    counts = iter(range(0, 10**9, 10**6))
    monkeypatch.setattr(module, "_preemptions", lambda: next(counts))
    probe, _ = kept_probe(load_config("smoke", OPEN), Parts(), THREADS)
    assert probe.was_disturbed
    assert not (tmp_path / "rl_speed" / "probes").exists()


def test_one_core_has_one_part(speeds):
    times, _ = speeds
    times.update(dict.fromkeys(all_variants(), 10.0))
    assert probe_update(load_config("smoke", OPEN), Parts(), Threads(1, 1, "")).chosen.shards == 1


def test_a_real_probe_times_real_steps_and_leaves_random_numbers_alone():
    import torch

    before = torch.get_rng_state()
    threads = torch.get_num_threads()
    probe = probe_update(load_config("smoke", OPEN), Parts(), THREADS)
    assert probe.chosen in probe.milliseconds
    assert all(ms > 0 for ms in probe.milliseconds.values())
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_the_answer_is_kept_for_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config, calls = load_config("smoke", OPEN), []

    def count(*arguments):
        calls.append(arguments)
        variant = Variant("bf16", True, 1)
        return Probe(variant, {variant: 1.25, Variant("fp32", True, 1): 2.5}, 0.1)

    monkeypatch.setattr(module, "probe_update", count)
    first, was_kept = kept_probe(config, Parts(), THREADS)
    again, was_kept_again = kept_probe(config, Parts(), THREADS)
    assert (was_kept, was_kept_again, len(calls)) == (False, True, 1)
    assert again == first
    # Another share of the cores, another shape, another processor: another question.
    kept_probe(config, Parts(), Threads(1, 1, ""))
    kept_probe(load_config("smoke", [*OPEN, "update.batch_size=64"]), Parts(), THREADS)
    monkeypatch.setattr(module, "processor", lambda: {"name": "another"})
    kept_probe(config, Parts(), THREADS)
    assert len(calls) == 4


def test_a_broken_answer_is_asked_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "_preemptions", lambda: 0)
    config = load_config("smoke", [*OPEN, "envs.image_height=40", "envs.image_width=40"])
    first, _ = kept_probe(config, Parts(), THREADS)
    (path,) = (tmp_path / "rl_speed" / "probes").iterdir()
    assert json.loads(path.read_text())["chosen"] == vars(first.chosen)
    path.write_text("{")
    assert kept_probe(config, Parts(), THREADS)[1] is False
