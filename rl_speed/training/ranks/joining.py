"""Brings the ranks of a run together: starts those of this machine, and waits for all to be there."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any, cast

from torch import distributed

import rl_speed
from rl_speed.config import RunConfig
from rl_speed.system.ending import Ending
from rl_speed.system.errors import ConfigError, EndedBeforeStartError, RankError, UserError
from rl_speed.training.decisions import decide_device
from rl_speed.training.plan import Plan
from rl_speed.training.ranks.group import JoinedRanks, Ranks
from rl_speed.training.ranks.place import Place, main_address, started_alone
from rl_speed.training.ranks.processes import RankProcesses
from rl_speed.training.ranks.watch import Watch, accept, connect, listen

_LOGGER = logging.getLogger(__name__)
_RUNS = count()  # of this process
_POLL_SECONDS = 0.05
_CONNECT_SECONDS = 30.0  # for what takes milliseconds, once all ranks are there

# What a rank does that is started here: its place, the port of the meeting point, and an event that a signal sets.
Rank = Callable[[Place, int, threading.Event], None]


class MeetingPoint:
    """Where ranks find each other: a store of torch's, hosted by rank 0 or by torchrun.

    Args:
        place: of this process.
        seconds: how long rank 0 may take to appear.
        address: host and port of rank 0, where its launcher does not say them in the environment; port 0: a free one.

    Raises:
        ConfigError: nobody is there.
    """

    def __init__(self, place: Place, seconds: float, address: tuple[str, int]) -> None:
        wait, torch_distributed = timedelta(seconds=seconds), cast("Any", distributed)
        self.host, self.port = address
        try:
            if place.launcher == "torchrun":
                self.host, self.port = main_address(place)
                met = torch_distributed.rendezvous("env://", place.rank, place.world_size, timeout=wait)
                # torchrun's store outlives a run: the next one of this process must not find the names of the last.
                self.store: Any = torch_distributed.PrefixStore(f"run{next(_RUNS)}", next(met)[0])
                return
            if place.launcher == "slurm":
                self.host, self.port = main_address(place)
            self.store = torch_distributed.TCPStore(
                self.host, self.port, place.world_size, place.is_first, wait, wait_for_workers=False
            )
            self.port = self.store.port
        except (RuntimeError, ValueError, OSError) as error:
            raise ConfigError(
                f"rank {place.rank} cannot reach rank 0 at {self.host}:{self.port} within trainer.timeout_seconds = "
                f"{seconds:g} ({' '.join(str(error).split())[:120]}); check that all {place.world_size} processes were "
                f"started, and that this address can be reached from every machine"
            ) from None


@contextmanager
def joined(
    config: RunConfig,
    place: Place,
    ending: Ending,
    rank: Rank | None = None,
    address: tuple[str, int] = ("127.0.0.1", 0),
) -> Iterator[Ranks]:
    """All ranks of a run, together for the block; one rank is by itself.

    Args:
        config: of the run.
        place: of this process.
        ending: of this process; it hears of others' wishes and losses.
        rank: what the others do, where this one has to start them (`Place.starts_others`); pickled.
        address: of the meeting point, host and port, where neither the environment nor this process decides about it.

    Raises:
        UserError: not all have come, or this rank's device is not there.
        RankError: one has gone again.
    """
    if place.world_size == 1:
        if sentence := started_alone(config.trainer):
            _LOGGER.warning(sentence)
        yield Ranks(place)
        return
    seconds, (_, device) = config.trainer.timeout_seconds, decide_device(config, place)
    point = MeetingPoint(place, seconds, address)
    with ExitStack() as stack:
        processes = None
        if place.starts_others:
            assert rank is not None
            processes = RankProcesses([partial(rank, other, point.port) for other in place.others()])
            stack.callback(processes.close)
        connections = _connections(place, point, processes, ending, seconds)
        if processes is not None:
            processes.have_begun = True
        watch = Watch(place.rank, connections, ending)
        stack.callback(watch.close)
        try:
            ranks = _Watched(place, point.store, device, watch)
            stack.callback(ranks.close)
            yield ranks
            ranks.release()
        except (UserError, RankError) as error:
            if not ending.is_rank_lost:
                _tell(watch, place, str(error), isinstance(error, UserError))
            raise
        except BaseException as error:
            _tell(watch, place, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, False)
            raise


def _tell(watch: Watch, place: Place, sentence: str, is_users: bool) -> None:
    """Tells the other ranks why this one ends."""
    first_line = sentence.splitlines()[0] if sentence else ""
    watch.send({"lost": f"rank {place.rank} has ended: {first_line}", "is_users": is_users})


def plan_together(ranks: Ranks, kept: Mapping[str, Any], make: Callable[[Mapping[str, Any]], Plan]) -> Plan:
    """A plan on each rank in which all compute alike: where the configuration leaves something open, rank 0 decides.

    Args:
        ranks: all of them.
        kept: choices that are made already, by field.
        make: the plan of this rank, given such choices.
    """
    if ranks.is_first:
        plan = make(kept)
        ranks.from_first(plan.kept())
    else:
        plan = make(ranks.from_first(None))
    told = ranks.gather_values(
        (plan.asked.model_dump(mode="json"), plan.device.partition(":")[0], rl_speed.__version__)
    )
    for rank, facts in enumerate(told):
        for what, own, first in zip(("configuration", "device", "version of rl_speed"), facts, told[0], strict=True):
            if own != first:
                raise ConfigError(
                    f"rank {rank} has another {what} than rank 0{_difference(own, first)}; start all with the same "
                    f"preset, settings and kind of device"
                )
    return plan


def _difference(own: Any, first: Any) -> str:
    """What differs, for the user."""
    if not isinstance(own, dict):
        return f": {own}, not {first}"
    fields = [
        f"{section}.{name}"
        for section, values in own.items()
        for name in (values if isinstance(values, dict) else ())
        if values[name] != first[section][name]
    ]
    return f" ({', '.join(fields[:5])})" if fields else ""


class _Watched(JoinedRanks):
    """Joined ranks whose lives are watched."""

    def __init__(self, place: Place, store: Any, device: str, watch: Watch) -> None:
        super().__init__(place, store, device, watch.why_lost)
        self._watch, self._is_released = watch, False

    @property
    def failure(self) -> RankError | UserError | None:
        """See Ranks."""
        return self._watch.failure

    def say_at_last(self, words: Callable[[], str]) -> None:
        """See Ranks."""
        self._watch.last_words = words

    def release(self) -> None:
        """See Ranks."""
        if not self._is_released:
            self._is_released = True
            with suppress(RankError, UserError):  # nothing is left to be lost
                self.barrier()
            self._watch.close()


def _connections(
    place: Place, point: MeetingPoint, processes: RankProcesses | None, ending: Ending, seconds: float
) -> dict[int, socket.socket]:
    """The watch's connections, once all ranks are there."""
    store, server, token = point.store, None, secrets.token_hex(8)
    with ExitStack() as stack:
        if place.is_first:
            server = stack.enter_context(listen(point.host))
            store.set("watch", f"{point.host}:{server.getsockname()[1]} {token}")
        store.add("present", 1)
        _wait_for_all(place, store, processes, ending, seconds)
        try:
            if server is not None:
                return accept(server, place.world_size, token, _CONNECT_SECONDS)
            address, _, token = store.get("watch").decode().partition(" ")
            host, _, port = address.rpartition(":")
            return connect((host, int(port)), place.rank, token, _CONNECT_SECONDS)
        except (OSError, RuntimeError) as error:  # RuntimeError: torch's store
            raise ConfigError(
                f"rank {place.rank} and the others cannot reach each other ({' '.join(str(error).split())[:120]}); "
                f"check names and firewalls of the machines"
            ) from None


def _wait_for_all(place: Place, store: Any, processes: RankProcesses | None, ending: Ending, seconds: float) -> None:
    """Waits until every rank has said that it is there."""
    deadline = time.monotonic() + seconds
    try:
        while (present := store.add("present", 0)) < place.world_size:
            if processes is not None:
                processes.check()
            if ending.wish is not None:
                raise EndedBeforeStartError(ending.wish, "it waited for the other ranks")
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"only {present} of {place.world_size} ranks have come within trainer.timeout_seconds = "
                    f"{seconds:g}; check that all were started with the same trainer.devices and trainer.num_nodes, "
                    f"or raise it"
                )
            time.sleep(_POLL_SECONDS)
    except RuntimeError as error:  # torch's store: its host is gone
        raise RankError(f"rank 0 is gone, so rank {place.rank} ends ({' '.join(str(error).split())[:120]})") from None
