"""The transport over Ray: what is said of lost actors, on a scripted cluster and on real ones."""

import copy
import os
import random
import signal
from functools import partial

import psutil
import pytest
import torch

from rl_speed.config import EnvsConfig, merge, validate
from rl_speed.experience.generators.actors import start_actors
from rl_speed.experience.generators.protocol import Order
from rl_speed.experience.generators.ray_actors import MAX_LOSSES_IN_A_ROW, RayMemory, RayTransport
from rl_speed.experience.generators.rounds import RoundScheduler
from rl_speed.experience.parts import Parts
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.learner.network import make_network
from rl_speed.system.ending import Ending
from rl_speed.system.errors import ActorError, ActorGoneError, UserError
from rl_speed.system.ray_cluster import RayCluster
from rl_speed.system.stage_timer import StageTimer
from tests.clusters import cluster_of
from tests.command_line import HANG_SECONDS, assert_no_process_stays
from tests.conftest import TINY
from tests.experience.generators.fake_ray import ActorDiedError, ActorUnavailableError, FakeRay
from tests.experience.generators.scripted_actors import fail, make_scripted, refuse

ENVS = EnvsConfig(image_height=20, image_width=20)
GONE = ActorUnavailableError("gone")


def order(number):
    return Order(
        slot=number % 3, weights_row=number % 3, epsilon=0.0, temperature=0.0, env_steps=10 * number, env_steps_stride=2
    )


def make_transport(ray, makers=None, timeout_seconds=60.0, cpus=1):
    rounds = RoundScheduler(2, 1, 3, 5, 2)
    memory = RayMemory(ENVS, rounds, ray.put)
    for row in range(3):
        memory.publish(row, torch.nn.Linear(1, 1, bias=False))
    makers = makers or [partial(make_scripted, index, 1, 5) for index in range(2)]
    return RayTransport(RayCluster(ray, lambda: None), makers, memory, cpus, timeout_seconds)


def receive(transport, count):
    """The numbers of the orders that the next answers belong to."""
    answers = []
    for _ in range(1000):
        answers += transport.receive(1.0)
        if len(answers) >= count:
            return [(actor, (answer.episode_ends[0].env_steps - 1) // 10) for actor, answer in answers]
    raise AssertionError("no answer")


def test_unanswered_orders_are_sent_again_in_order_and_said_once(caplog):
    ray = FakeRay(random.Random(0))
    transport = make_transport(ray)
    transport.send(0, order(0))
    assert receive(transport, 1) == [(0, 0)]
    for number in (1, 2, 3):
        transport.send(0, order(number))
    first_life = ray.handles[0].process
    ray.handles[0].lose(GONE)
    assert receive(transport, 3) == [(0, 1), (0, 2), (0, 3)]
    assert ray.handles[0].process is not first_life
    (said,) = caplog.messages
    assert said.startswith("actor 0 was lost (process ")
    assert said.endswith("it comes back, its 3 unfinished rollouts are played anew")


def test_what_a_process_is_sent_that_came_back_unnoticed_is_not_played_out_of_turn():
    ray = FakeRay(random.Random(0))
    transport = make_transport(ray)
    transport.send(0, order(0))
    assert receive(transport, 1) == [(0, 0)]
    ray.handles[0].lose(GONE)  # nothing was under way, so nothing failed
    transport.send(0, order(1))
    transport.send(0, order(2))
    assert receive(transport, 2) == [(0, 1), (0, 2)]
    assert transport._lines[0].losses == 1


def test_actors_are_asked_for_with_their_cpus_and_come_back_for_ever():
    ray = FakeRay(random.Random(0))
    make_transport(ray, cpus=3)
    assert ray.options_asked == {
        "num_cpus": 3, "max_restarts": -1, "max_task_retries": 0, "scheduling_strategy": "SPREAD",
    }  # fmt: skip


def test_an_actor_that_is_lost_again_and_again_ends_the_run(monkeypatch):
    ray = FakeRay(random.Random(0))
    transport = make_transport(ray)

    def start_but_never_play():
        for handle in ray.handles:
            if handle.calls and handle.calls[0][0] == "prepare":
                handle.step(answer_is_lost=False)
            else:
                handle.lose(GONE)

    monkeypatch.setattr(ray, "play_on", start_but_never_play)
    transport.send(0, order(0))
    with pytest.raises(ActorGoneError, match=r"^actor 0 was lost 5 times in a row without an answer \(process "):
        receive(transport, 1)
    assert transport._lines[0].losses == MAX_LOSSES_IN_A_ROW


def test_an_actor_that_does_not_come_back_is_given_up(monkeypatch):
    ray = FakeRay(random.Random(0), nodes=(1.0, 3.0))
    transport = make_transport(ray, timeout_seconds=1.0)
    monkeypatch.setattr(ray, "play_on", lambda: None)
    seconds = [0.0]
    monkeypatch.setattr(transport.patience, "_now", lambda: seconds[0])
    transport.patience.restart()
    transport.send(1, order(0))

    def wait():
        for _ in range(5):
            seconds[0] += 0.5
            transport.receive(0.5)

    with pytest.raises(ActorGoneError) as caught:
        wait()
    message = str(caught.value)
    for part in (
        "actor 1 has not started within actors.timeout_seconds = 1;",
        "has 3 living nodes with 4 CPUs, of which 0.5 are free",
    ):
        assert part in message


def test_an_exception_is_no_loss(monkeypatch):
    for maker, error, message in (
        (fail, ActorError, r"actor 1 failed; its traceback:\nTraceback[\s\S]*ValueError: no such game"),
        (refuse, UserError, r"^env: it shows no images$"),
    ):
        ray = FakeRay(random.Random(0))
        transport = make_transport(ray, [partial(make_scripted, 0, 1, 5), lambda losses, maker=maker: maker()])
        with pytest.raises(error, match=message):
            receive(transport, 1)


def test_another_version_is_one_sentence(monkeypatch):
    ray = FakeRay(random.Random(0))
    transport = make_transport(ray)
    monkeypatch.setattr("rl_speed.__version__", "9.9")
    with pytest.raises(UserError, match=r"^rl_speed 9\.9 is installed on .*, 0\.1\.0 where the learner runs; install"):
        receive(transport, 1)


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        (
            "ModuleNotFoundError: No module named 'rl_speed'",
            UserError,
            "a node of the cluster has no rl_speed",
        ),
        ("it was ended for good", ActorGoneError, "actor 0 cannot be started again: it was ended for good"),
    ],
)
def test_an_actor_that_cannot_come_back_is_one_sentence(said, error, message):
    ray = FakeRay(random.Random(0))
    transport = make_transport(ray)
    transport.send(0, order(0))
    receive(transport, 1)
    transport.send(0, order(1))
    ray.handles[0].lose(ActorDiedError(said))
    with pytest.raises(error, match=message):
        receive(transport, 1)


def test_too_few_cpus_are_told_before_anything_is_waited_for():
    ray = FakeRay(random.Random(0), nodes=(1.0, 3.0))
    with pytest.raises(UserError) as caught:
        make_transport(ray, cpus=2)
    assert str(caught.value) == (
        "actors.count = 2 players need 2 CPUs each, but the nodes of the Ray cluster have room for 1; start more "
        "nodes, or set actors.count to 1"
    )
    assert not ray.handles
    with pytest.raises(UserError, match=r"room for 0; start more nodes$"):
        make_transport(ray, cpus=4)


# --- on real clusters ---


def make_actors(kind="ray", parts=None, **actors):
    changes = {
        "envs": {"count": 2},
        "actors": {"kind": kind, "count": 2, "rollout_env_steps": 4, "timeout_seconds": float(HANG_SECONDS), **actors},
        "replay": {"capacity_env_steps": 2000, "prefill_env_steps": 200},
    }
    config = validate(merge(TINY, changes))
    torch.manual_seed(0)
    network = make_network(config.network, config.envs.observation_shape, 6)
    policy = ExploringPolicy(network, 6, seed=0)
    seeds = [(10 + i, 20 + i) for i in range(config.actors.count)]
    return start_actors(config, parts or Parts(), policy, seeds, 1, StageTimer(), Ending())


def take_until_anew(generator, columns):
    """Rollouts up to the first one in which the games of these envs begin; the others' go on."""
    for _ in range(1000):
        rollout = next(generator)
        if rollout.is_first[0, columns].all():
            assert not rollout.reward.isnan().any()
            return rollout
    raise AssertionError("no game has begun anew")


@pytest.fixture
def cluster():
    """A head with one CPU and two nodes with one each; what is left of it is ended."""
    pytest.importorskip("ray")
    with cluster_of(2, cpus=1, head_cpus=1) as cluster:
        yield cluster


def processes_of(node):
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    return {process.pid for process in raylet.children(recursive=True)}


@pytest.mark.ray
def test_rollouts_are_those_of_actor_processes_bit_for_bit():
    pytest.importorskip("ray")
    played = []
    for kind in ("ray", "subprocess"):
        generator = make_actors(kind, networks=2)
        collected = []
        for call in range(8):
            generator._policy.epsilon = 0.5 / (1 + call)
            collected.append(copy.deepcopy(next(generator)))
            with torch.no_grad():
                for parameter in generator._policy.network.parameters():
                    parameter.mul_(-1.01)
        generator.close()
        played.append(collected)
    for first, second in zip(*played, strict=True):
        for name, value in vars(first).items():
            other = getattr(second, name)
            assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other, name


@pytest.mark.ray
def test_a_killed_actor_comes_back_with_other_games(caplog):
    pytest.importorskip("ray")
    generator = make_actors()
    try:
        first = copy.deepcopy(next(generator))
        pids = generator._transport.process_ids
        os.kill(pids[1], signal.SIGKILL)
        anew = take_until_anew(generator, slice(2, 4))
        assert not anew.is_first[0, :2].any()
        assert not torch.equal(anew.action[:, 2:], first.action[:, 2:])
        assert generator._transport.process_ids[0] == pids[0]
        assert generator._transport.process_ids[1] != pids[1]
        (said,) = caplog.messages
        assert said.startswith(f"actor 1 was lost (process {pids[1]} on ")
        everyone = generator._transport.process_ids
    finally:
        generator.close()
    assert_no_process_stays(everyone)


@pytest.mark.ray
def test_a_failing_env_is_told_with_its_traceback():
    pytest.importorskip("ray")

    def break_down():
        raise ValueError("no such level")

    generator = make_actors(parts=Parts(own_env=break_down))
    with pytest.raises(ActorError, match=r"actor [01] failed; its traceback:\nTrace[\s\S]*ValueError: no such level"):
        next(generator)
    generator.close()


@pytest.mark.ray
def test_a_killed_node_costs_its_unfinished_rollouts_only(cluster, caplog):
    generator = make_actors(address=cluster.address)
    try:
        for _ in range(3):
            next(generator)
        pids = generator._transport.process_ids
        # Not the head, which is this program's node.
        node = next(node for node in cluster.list_all_nodes() if not node.head and processes_of(node) & set(pids))
        lost = pids.index(next(iter(processes_of(node) & set(pids))))
        cluster.remove_node(node, allow_graceful=False)
        anew = take_until_anew(generator, slice(2 * lost, 2 * lost + 2))
        others = slice(2, 4) if lost == 0 else slice(0, 2)
        assert not anew.is_first[0, others].any()
        for _ in range(20):
            next(generator)
        assert sum("was lost" in message for message in caplog.messages) == 1
        everyone = generator._transport.process_ids
    finally:
        generator.close()
    # The cluster is not this run's: it goes on.
    import ray

    assert not ray.is_initialized()
    assert len(cluster.list_all_nodes()) == 2
    assert_no_process_stays(everyone)


@pytest.mark.ray
def test_a_cluster_with_too_few_cpus_is_one_sentence(cluster):
    with pytest.raises(UserError, match=r"actors.count = 4 players need one CPU each, .* have room for 3; start more"):
        make_actors(address=cluster.address, count=4)


@pytest.mark.ray
def test_a_cluster_of_the_callers_is_used_and_left_alone():
    ray = pytest.importorskip("ray")
    ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=80_000_000, log_to_driver=False)
    try:
        generator = make_actors(address="192.0.2.255:1")
        next(generator)
        pids = generator._transport.process_ids
        generator.close()
        assert ray.is_initialized()
        assert_no_process_stays(pids)
    finally:
        ray.shutdown()
