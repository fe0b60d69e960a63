"""Which way of computing the update is best here: the real gradient step, timed, and the answer kept.

What pays on one processor does not on another: bfloat16 doubles the speed where there are instructions for it, and
costs a factor of four where it is emulated; libraries have regressions of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from rl_speed.config import EnvsConfig, NetworkConfig, RunConfig, UpdateConfig
from rl_speed.experience.parts import Parts
from rl_speed.learner.image_blocks import compile_image_blocks
from rl_speed.learner.module import DQNModule
from rl_speed.records import Batch
from rl_speed.system.folders import cache_folder
from rl_speed.system.json_file import write_whole
from rl_speed.system.machine import processor, versions
from rl_speed.system.stage_timer import StageTimer
from rl_speed.system.torch_threads import torch_threads
from rl_speed.training.threads import Threads

FORMAT = 2  # of what is kept; another way of choosing is another format
TIMED_CALLS = 4
HOPELESS = 2.5  # a variant that takes so many times the best one's time is timed once
MOST_SHARDS = 8
# Parts with a core each wait for each other once in a gradient step, torch's threads at every kernel: when another
# program takes a core, threads lose more than parts (docs/notebook.md). Fewer parts have to be faster by this factor.
FEWER_SHARDS_GAIN = 1.25
# 22 of 46 confirmations of `fast_cpu` succeeded with bfloat16 and 5 of 19 with float32, which has to be faster by this
# factor: little evidence, and none for the other way (docs/notebook.md, "Nine fresh seeds").
FP32_GAIN = 1.5
# Preemptions per second from which the machine is too busy for the answer to be kept.
BUSY_PREEMPTIONS = 90.0
_ISA_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
NUM_ACTIONS = 6  # of most games; how many there are is known once the games are


@dataclass(frozen=True)
class Variant:
    """One way to compute an update."""

    precision: Literal["fp32", "bf16"]
    fused: bool
    shards: int


@dataclass(frozen=True)
class Probe:
    """What was found out.

    Attributes:
        chosen: the fastest variant, but for FEWER_SHARDS_GAIN and FP32_GAIN.
        milliseconds: of a gradient step, by variant.
        seconds: that finding out has taken.
        was_disturbed: other programs took the cores meanwhile.
    """

    chosen: Variant
    milliseconds: dict[Variant, float]
    seconds: float
    was_disturbed: bool = False

    def text(self, field: str) -> str:
        """The time of a gradient step with the chosen value of one field, and with the others that were tried."""
        value = getattr(self.chosen, field)
        # A field that was decided early was measured with what the others were then.
        for measured in sorted(
            self.milliseconds, key=lambda variant: (variant != self.chosen, self.milliseconds[variant])
        ):
            others = {
                _plain(getattr(variant, field)): milliseconds
                for variant, milliseconds in self.milliseconds.items()
                if variant != measured and {**vars(variant), field: value} == vars(measured)
            }
            if others:
                listed = ", ".join(f"{other} {milliseconds:.1f}" for other, milliseconds in others.items())
                text = f"{self.milliseconds[measured]:.1f} ms a gradient step, {listed}"
                is_slower = self.milliseconds[measured] > min(others.values())
                is_preferred = value == "bf16" and is_slower
                return f"{text}, which has to be {FP32_GAIN:g} times as fast" if is_preferred else text
        return "there is only one way"


def _plain(value: object) -> str:
    return str(value).lower()


def random_batch(envs: EnvsConfig, batch_size: int, num_actions: int) -> Batch:
    """A minibatch of noise in the shapes of a run, without the axis N."""
    frames, height, width = envs.observation_shape
    draw = torch.Generator().manual_seed(0)  # the caller's random numbers stay where they are

    def observation() -> torch.Tensor:
        shape = (batch_size, frames, height, width)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)

    return Batch(
        observation(),
        torch.randint(0, num_actions, (batch_size,), generator=draw),
        torch.randn(batch_size, generator=draw),
        torch.full((batch_size,), 0.9),
        observation(),
        torch.ones(batch_size, dtype=torch.bool),
        torch.ones(batch_size),
        torch.arange(batch_size),
    )


class _Candidate:
    """A variant that is ready to take gradient steps."""

    def __init__(self, variant: Variant, config: RunConfig, parts: Parts, threads: Threads, batch: Batch) -> None:
        network: NetworkConfig = config.network.model_copy(update={"fused": variant.fused})
        update: UpdateConfig = config.update.model_copy(
            update={"precision": variant.precision, "shards": variant.shards, "compile": False}
        )
        shape = config.envs.observation_shape
        networks = [parts.make_network(network, shape, NUM_ACTIONS) for _ in range(2)]
        self._module = DQNModule(networks[0], networks[1], update, StageTimer())
        self._optimizer = self._module.configure_optimizers()
        self._batch = batch
        self._threads = threads.of_each_shard(update, variant.shards)

    def milliseconds(self) -> float:
        """Of one gradient step."""
        with torch_threads(self._threads):
            start = time.perf_counter()
            self._module.gradient_step(self._batch, self._optimizer)
            return 1e3 * (time.perf_counter() - start)

    def close(self) -> None:
        self._module.gradient.close()


def _compare(candidates: dict[Variant, _Candidate]) -> dict[Variant, float]:
    """The best time of each in milliseconds, measured in turn. A first call of each is not counted: it prepares."""
    for candidate in candidates.values():
        candidate.milliseconds()
    best = {variant: candidate.milliseconds() for variant, candidate in candidates.items()}
    for _ in range(TIMED_CALLS - 1):
        limit = HOPELESS * min(best.values())
        for variant, candidate in candidates.items():
            if best[variant] <= limit:
                best[variant] = min(best[variant], candidate.milliseconds())
    return best


def _better(times: dict[Variant, float]) -> Variant:
    """The fastest, but more parts of a minibatch, and bfloat16, before fewer and float32 of about the same speed."""
    most = max(variant.shards for variant in times)

    def cost(variant: Variant) -> float:
        few_shards = 1.0 if variant.shards == most else FEWER_SHARDS_GAIN
        return times[variant] * few_shards * (1.0 if variant.precision == "bf16" else FP32_GAIN)

    return min(times, key=cost)


def _preemptions() -> int:
    """Times that the system took a core from this process although it had work to do."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def shard_counts(batch_size: int, learner_cores: int) -> list[int]:
    """Numbers of equal parts that a minibatch can be cut into, for the cores that there are: 1, 2, 4, ..."""
    most = min(learner_cores, MOST_SHARDS, batch_size)
    return [count for count in (1, 2, 4, 8) if count <= most and batch_size % count == 0]


def _options(config: RunConfig, parts: Parts, threads: Threads) -> dict[str, list[Any]]:
    """What may be chosen for each field; a field that the user has set has one value."""
    update, network = config.update, config.network
    can_fuse = network.can_be_fused and parts.own_network is None
    shards = [1] if update.compile else shard_counts(update.batch_size, threads.learner_cores)
    return {
        "precision": ["fp32", "bf16"] if update.precision == "auto" else [update.precision],
        "shards": shards if update.shards == "auto" else [update.shards],
        "fused": ([True, False] if can_fuse else [False]) if network.fused == "auto" else [network.fused],
    }


def probe_update(config: RunConfig, parts: Parts, threads: Threads) -> Probe:
    """Times the real gradient step and chooses, field by field: precision, then shards, then fused.

    Args:
        config: fields that are `auto` are chosen, the others are as they are.
        parts: the network.
        threads: cores of the learner.
    """
    started, preempted = time.perf_counter(), _preemptions()
    options = _options(config, parts, threads)
    chosen = Variant(options["precision"][0], options["fused"][0], options["shards"][-1])
    batch = random_batch(config.envs, config.update.batch_size, NUM_ACTIONS)
    milliseconds: dict[Variant, float] = {}
    with torch.random.fork_rng(devices=[]):
        for name, values in options.items():
            if len(values) < 2:
                continue
            variants = [Variant(**{**vars(chosen), name: value}) for value in values]
            candidates = {variant: _Candidate(variant, config, parts, threads, batch) for variant in variants}
            times = _compare(candidates)
            for candidate in candidates.values():
                candidate.close()
            milliseconds.update(times)
            chosen = _better(times)
    seconds = time.perf_counter() - started
    return Probe(chosen, milliseconds, seconds, _preemptions() - preempted > BUSY_PREEMPTIONS * seconds)


def _key(config: RunConfig, threads: Threads) -> str:
    """What the answer depends on; another machine, library, shape or share of the cores asks anew."""
    content = {
        "format": FORMAT,
        "processor": processor(),
        # Both libraries can be told to use fewer instructions than there are.
        "capability": [torch.backends.cpu.get_cpu_capability(), *(os.environ.get(name) for name in _ISA_VARIABLES)],
        "versions": {name: version for name, version in versions().items() if name in ("torch", "rl-speed")},
        "image_blocks": compile_image_blocks() if config.network.may_be_fused else None,
        "learner_cores": threads.learner_cores,
        "network": config.network.model_dump(mode="json"),
        "update": config.update.model_dump(mode="json"),
        "observation": config.envs.observation_shape,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def _path(key: str) -> Path:
    return cache_folder("probes") / f"{key}.json"


def kept_probe(config: RunConfig, parts: Parts, threads: Threads) -> tuple[Probe, bool]:
    """The answer for this machine, measured now or found in the user's cache.

    Returns:
        the probe, and whether it was found.
    """
    is_kept = parts.own_network is None  # two networks of a caller's own cannot be told apart
    key = _key(config, threads) if is_kept else ""
    if is_kept:
        with suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(_path(key).read_text(encoding="utf-8"))
            times = {Variant(**entry["variant"]): float(entry["milliseconds"]) for entry in content["times"]}
            return Probe(Variant(**content["chosen"]), times, float(content["seconds"])), True
    probe = probe_update(config, parts, threads)
    if is_kept and not probe.was_disturbed:
        entries = [{"variant": vars(variant), "milliseconds": ms} for variant, ms in probe.milliseconds.items()]
        with suppress(OSError):  # then it is measured again next time
            _path(key).parent.mkdir(parents=True, exist_ok=True)
            write_whole(_path(key), {"chosen": vars(probe.chosen), "times": entries, "seconds": probe.seconds})
    return probe, False
