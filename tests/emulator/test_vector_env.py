"""The Gymnasium vector env: beside ale-py's, in every mode, saved and loaded, and misused."""

import copy
import os
import pickle
import subprocess
import sys
import warnings

import ale_py
import gymnasium
import numpy as np
import pytest
import torch
from ale_py.vector_env import AtariVectorEnv as AlePyVectorEnv
from gymnasium.error import AlreadyPendingCallError, ClosedEnvironmentError, NoAsyncCallError, ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import NormalizeObservation, RecordEpisodeStatistics

from rl_speed.emulator import AtariVectorEnv
from rl_speed.emulator.games import game_names
from rl_speed.system.errors import UserError
from tests.emulator.factory import VARIED

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
SAME_STEP, NEXT_STEP, DISABLED = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED
SHORT = {"max_num_frames_per_episode": 45, "noop_max": 4}  # games that end soon


def make(game="pong", num_envs=3, **arguments):
    return AtariVectorEnv(game, num_envs, **{"recompile": False, "num_threads": 2, **arguments})


def play(env, steps, seed=0):
    """Observations of random steps."""
    rng = np.random.default_rng(seed)
    return [env.step(rng.integers(env.single_action_space.n, size=env.num_envs))[0] for _ in range(steps)]


def assert_equal_to_ale_py(game, steps, games=0, **arguments):
    """Spaces, observations, rewards, ends, infos and their types, over some steps and some games."""
    own = {"recompile": arguments.pop("recompile", False)}
    ours, theirs = make(game, **arguments, **own), AlePyVectorEnv(game, 3, num_threads=1, **arguments)
    for name in ("single_observation_space", "single_action_space", "observation_space", "action_space"):
        assert getattr(ours, name) == getattr(theirs, name)
    ours.action_space.seed(2)
    first, second = ours.reset(seed=21), theirs.reset(seed=21)
    step = ends = 0
    while step < steps or ends < games:
        assert_alike(first, second, f"{game}, step {step}")
        actions = ours.action_space.sample()
        first, second = ours.step(actions), theirs.step(actions)
        ends += int((first[2] | first[3]).sum())
        step += 1
    ours.close()
    theirs.close()
    return ends


def assert_alike(ours, theirs, where):
    for mine, other in zip(ours[:-1], theirs[:-1], strict=True):
        np.testing.assert_array_equal(mine, other, err_msg=where)
        assert mine.dtype == other.dtype
    infos, expected = ours[-1], theirs[-1]
    for name in ("env_id", "lives", "frame_number", "episode_frame_number"):
        np.testing.assert_array_equal(infos[name], expected[name], err_msg=f"{where}, {name}")
        assert infos[name].dtype == expected[name].dtype
    assert set(expected) <= set(infos), where
    if "final_obs" in infos:
        done = ours[2] | ours[3]
        np.testing.assert_array_equal(infos["_final_obs"], done)
        assert [one is None for one in infos["final_obs"]] == (~done).tolist()
        # Of a lost life ale-py gives memory that was not written.
        for index in np.flatnonzero(infos["game_over"]):
            np.testing.assert_array_equal(infos["final_obs"][index], expected["final_obs"][index], err_msg=where)
        for index in np.flatnonzero(done & ~infos["game_over"]):
            np.testing.assert_array_equal(infos["final_obs"][index], ours[0][index], err_msg=where)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"autoreset_mode": SAME_STEP},
        {"autoreset_mode": "SameStep", "grayscale": False, "stack_num": 1, "img_height": 60, "img_width": 100},
        {"continuous": True, "repeat_action_probability": 0.4, "reward_clipping": False},
        {"full_action_space": True, "maxpool": False, "frameskip": 3, "use_fire_reset": False},
    ],
    ids=lambda arguments: ", ".join(arguments) or "defaults",
)
def test_what_ale_pys_vector_env_says(arguments):
    assert assert_equal_to_ale_py("pong", steps=40, **SHORT, **arguments) >= 6


@pytest.mark.parametrize(
    "size", [(210, 160), (105, 80), (84, 42), (60, 100), (20, 20), (33, 147), (210, 159), (84, 28), (21, 32)]
)
def test_every_size_is_resized_as_ale_py_does_it(size):
    """Wide and narrow cells, whole ones, and numbers of columns that no vector of a processor divides."""
    ours, theirs = (
        make(num_envs=1, img_height=size[0], img_width=size[1], stack_num=1),
        AlePyVectorEnv("pong", 1, num_threads=1, img_height=size[0], img_width=size[1], stack_num=1),
    )
    assert_alike(ours.reset(seed=2), theirs.reset(seed=2), "reset")
    for step in range(25):
        actions = np.array([2 + step % 2])
        assert_alike(ours.step(actions), theirs.step(actions), f"step {step}")
    ours.close()
    theirs.close()


# Of each of these a whole game; of Montezuma's Revenge, a PAL game and others the beginning.
WHOLE_GAMES = {
    "pong": SAME_STEP, "breakout": NEXT_STEP, "space_invaders": SAME_STEP, "seaquest": NEXT_STEP, "enduro": SAME_STEP,
    "ms_pacman": NEXT_STEP,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE_GAMES)
def test_whole_games(name):
    arguments = {"autoreset_mode": WHOLE_GAMES[name], "reward_clipping": False}
    assert_equal_to_ale_py(name, 0, games=3, recompile=name == "pong", **arguments)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("name", game_names())
def test_every_game_is_seen_as_ale_py_shows_it(name):
    assert_equal_to_ale_py(name, 400, recompile=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alien", "qbert"])
def test_pictures_that_are_cut_off_now_and_then(name):
    """A step with such a picture is played again, exactly drawn, and so are some after it."""
    assert_equal_to_ale_py(name, 1500)


@pytest.mark.slow
def test_lives():
    for arguments in ({"episodic_life": True}, {"life_loss_info": True}):
        for mode in (NEXT_STEP, SAME_STEP):
            arguments = {**arguments, "autoreset_mode": mode, "max_num_frames_per_episode": 901}
            assert_equal_to_ale_py("breakout", 200, games=9, **arguments)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIED[::2])
def test_colours_and_continuous_actions_of_other_games(name):
    assert_equal_to_ale_py(name, 120, grayscale=False, continuous=True, continuous_action_threshold=0.3)


def test_ram_is_what_ale_py_reads():
    env = make(obs_type="ram", stack_num=2, noop_max=1, use_fire_reset=False, num_envs=1)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", 8)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(ale_py.roms.get_rom_path("pong"))
    ale.reset_game()
    observation, _ = env.reset(seed=8)
    assert observation.shape == (1, 2, 128)
    assert not observation[0, 0].any()
    before = ale.getRAM().copy()
    np.testing.assert_array_equal(observation[0, 1], before)
    for number in (0, 2, 3, 2, 5, 4):
        observation = env.step([number])[0]
        for _ in range(4):
            ale.act(ale.getMinimalActionSet()[number])
        np.testing.assert_array_equal(observation[0], [before, ale.getRAM()])
        before = ale.getRAM().copy()
    env.close()


def test_without_auto_reset_the_caller_resets():
    """Games go on beside one that is over; a mask resets some, from seeds or not, and leaves the others alone."""
    env = make(autoreset_mode=DISABLED, max_num_frames_per_episode=41, noop_max=1)
    env.reset(seed=[3, 4, 5])
    for _ in range(5):
        env.step([0, 0, 0])
    observation, infos = env.reset(options={"reset_mask": np.array([False, True, False])})
    assert infos["episode_frame_number"].tolist() == [21, 1, 21]
    assert not observation[1, :3].any()
    assert observation[0, :3].any()
    for _ in range(6):
        last, _, _, truncated, infos = env.step([0, 0, 0])
    assert truncated.tolist() == [True, False, True]
    assert "final_obs" not in infos
    with pytest.raises(ResetNeeded, match=r"envs \[0, 2\]"):
        env.step([0, 0, 0])
    mask = np.array([True, False, True])
    for seeds in (np.array([9, 8]), [9, 1, 8], np.array([9, 2**32 - 1, 8], dtype=np.uint32)):
        observation, _ = env.reset(seed=seeds, options={"reset_mask": mask})
        np.testing.assert_array_equal(observation[1], last[1])
    fresh = make(num_envs=2, noop_max=1, max_num_frames_per_episode=41)
    expected, _ = fresh.reset(seed=[9, 8])
    np.testing.assert_array_equal(observation[mask], expected)
    env.step([0, 0, 0])
    env.close()
    fresh.close()


def test_partial_resets_are_those_of_ale_py():
    ours, theirs = make(num_envs=4), AlePyVectorEnv("pong", 4, num_threads=1)
    assert_alike(ours.reset(seed=3), theirs.reset(seed=3), "all")
    for seed, mask in (
        (11, [False, True, True, False]),
        (np.array([6, 5]), [True, False, True, False]),
        (None, [True] * 4),
    ):
        options = {"reset_mask": np.array(mask)}
        observation, infos = ours.reset(seed=seed, options=options)
        expected, others = theirs.reset(seed=seed, options=options)
        np.testing.assert_array_equal(observation[mask], expected[mask])
        np.testing.assert_array_equal(infos["frame_number"][mask], others["frame_number"][mask])
        assert_alike(ours.step([2, 3, 2, 3]), theirs.step(np.array([2, 3, 2, 3])), str(seed))
    ours.close()
    theirs.close()


def test_only_what_has_no_game_yet_gets_a_fresh_seed():
    """An env that was seeded goes on with its random numbers, also where another one has none yet."""
    env, other = make(num_envs=2), make(num_envs=2)
    for one in (env, other):
        one.reset(seed=[7, 8], options={"reset_mask": np.array([True, False])})
        with pytest.raises(ResetNeeded):
            one.step([0, 0])
        with pytest.raises(ResetNeeded):
            one.save_states()
    first, second = env.reset(), other.reset()
    np.testing.assert_array_equal(first[0][0], second[0][0])
    assert first[1]["frame_number"][0] > first[1]["episode_frame_number"][0]
    env.close()
    other.close()


def test_what_the_last_game_came_to():
    """With SAME_STEP the infos are the next game's, and the last one's stand beside them."""
    env = make(autoreset_mode=SAME_STEP, **SHORT)
    env.reset(seed=0)
    for _ in range(11):
        last = env.step([0, 0, 0])[4]
    *_, truncated, infos = env.step([0, 0, 0])
    assert truncated.all()
    assert infos["game_over"].all()
    assert infos["_final_info"].all()
    final = infos["final_info"]
    np.testing.assert_array_equal(final["frame_number"], last["frame_number"] + 1)
    np.testing.assert_array_equal(final["episode_frame_number"], last["episode_frame_number"] + 1)
    assert (infos["episode_frame_number"] < 10).all()
    env.close()


@pytest.mark.slow
def test_rewards_are_clipped_beside_those_that_are_not():
    env, plain = make("space_invaders"), make("space_invaders", reward_clipping=False)
    env.reset(seed=0)
    plain.reset(seed=0)
    rng = np.random.default_rng(0)
    total = 0
    for _ in range(150):
        actions = rng.integers(6, size=3)
        clipped, raw = env.step(actions), plain.step(actions)
        np.testing.assert_array_equal(clipped[1], np.sign(raw[1]))
        np.testing.assert_array_equal(clipped[4]["reward"], raw[1])
        total += int(raw[1].sum())
    assert total > 20
    env.close()
    plain.close()


@pytest.mark.slow
def test_a_paddle_turns_as_far_as_ale_py_turns_it():
    """Radii whose products with 23,000 differ between float32 and float64, for long."""
    ours, theirs = make("breakout", continuous=True), AlePyVectorEnv("breakout", 3, num_threads=1, continuous=True)
    assert_alike(ours.reset(seed=1), theirs.reset(seed=1), "reset")
    for step in range(200):
        angle = np.pi if step // 20 % 2 else 0.0
        actions = np.array([[0.7, angle, 1], [0.9, angle, 1], [0.55, angle, 1]], dtype=np.float32)
        assert_alike(ours.step(actions), theirs.step(actions), f"step {step}")
    ours.close()
    theirs.close()


def test_seeds_decide_and_without_one_games_differ():
    env = make()
    first, _ = env.reset(seed=5)
    second, infos = env.reset()
    again, _ = env.reset(seed=[5, 6, 7])
    np.testing.assert_array_equal(first, again)
    assert (infos["frame_number"] > infos["episode_frame_number"]).all()
    np.testing.assert_array_equal(env.reset()[0], second)
    frames = set()
    for _ in range(3):
        other = make(num_envs=20)
        frames.add(other.reset()[1]["frame_number"].tobytes())
        other.close()
    assert len(frames) == 3
    env.close()


@pytest.mark.parametrize("arguments", [{}, {"autoreset_mode": SAME_STEP}, {"stack_num": 1}, {"obs_type": "ram"}])
def test_saved_states_go_on_anywhere(arguments):
    """In the same envs, in others, in another object and after a pickle; over ends of games, and more than once."""
    env, other = make(**SHORT, **arguments), make(num_envs=2, **SHORT, **arguments)
    env.reset(seed=1)
    play(env, 7)
    saved = env.save_states()
    shown = env.load_states(saved)[0]
    actions = np.random.default_rng(3).integers(6, size=(20, 3))
    first = [env.step(row) for row in actions]
    for _ in range(2):
        again, _ = env.load_states(saved)
        np.testing.assert_array_equal(again, shown)
        for row, expected in zip(actions, first, strict=True):
            for mine, before in zip(env.step(row)[:4], expected[:4], strict=True):
                np.testing.assert_array_equal(mine, before)
    other.load_states(pickle.loads(pickle.dumps(saved[[2, 0]])))
    other.load_states([saved[2], saved[0]])
    env.reset(seed=77)
    loaded, _ = env.load_states(saved[1], [2])
    np.testing.assert_array_equal(loaded[2], shown[1])
    for row, expected in zip(actions, first, strict=True):
        np.testing.assert_array_equal(other.step(row[[2, 0]])[0], expected[0][[2, 0]])
        np.testing.assert_array_equal(env.step(row[[0, 0, 1]])[0][2], expected[0][1])
    assert saved.nbytes > 3 * 1000
    assert len(saved[:2]) == 2
    env.close()
    other.close()


def test_what_was_returned_stays_as_it_is():
    """An observation is the caller's, and so are views and tensors of it; memory that nobody holds is used again."""
    env = make()
    env.reset(seed=0)
    kept = play(env, 12)
    copies = [observation.copy() for observation in kept]
    views = [torch.from_numpy(observation)[1] for observation in kept]
    shared = torch.from_dlpack(kept[-1])
    assert shared.data_ptr() == kept[-1].ctypes.data
    last = kept[-1][2, 1:]
    del kept, shared
    play(env, 12, seed=1)
    for view, copied in zip(views, copies, strict=True):
        np.testing.assert_array_equal(view, copied[1])
    np.testing.assert_array_equal(last, copies[-1][2, 1:])
    del views, view, last
    places = [play(env, 1)[0].ctypes.data for _ in range(20)]
    assert len(set(places)) < 5
    env.close()


def test_a_caller_may_change_what_was_returned():
    env, other = make(), make()
    env.reset(seed=0)
    other.reset(seed=0)
    for first, second in zip(play(env, 8), play(other, 8), strict=True):
        np.testing.assert_array_equal(first, second)
    changed = play(env, 1)[0]
    play(other, 1)
    changed[:] = 7
    np.testing.assert_array_equal(play(env, 1)[0], play(other, 1)[0])
    np.testing.assert_array_equal(
        *(one.reset(options={"reset_mask": np.array([True, False, False])})[0] for one in (env, other))
    )
    env.close()
    other.close()


def test_the_first_that_are_ready():
    """Every env gets its own actions, and shows what it shows where all step together."""
    env, together = make(num_envs=5, batch_size=2), make(num_envs=5)
    assert env.observation_space.shape == (2, 4, 84, 84)
    observation, infos = env.reset(seed=3)
    expected, _ = together.reset(seed=3)
    shown = {index: [] for index in range(5)}
    taken = dict.fromkeys(range(5), 0)
    for _ in range(60):
        for row, index in enumerate(infos["env_id"]):
            shown[int(index)].append(observation[row])
        env.send(np.array([taken[int(index)] % 6 for index in infos["env_id"]]))
        for index in infos["env_id"]:
            taken[int(index)] += 1
        observation, _, _, _, infos = env.recv()
    steps = min(len(rows) for rows in shown.values())
    assert steps > 10
    for step in range(steps):
        for index in range(5):
            np.testing.assert_array_equal(shown[index][step], expected[index], err_msg=f"env {index}, step {step}")
        expected = together.step(np.full(5, step % 6))[0]
    with pytest.raises(UserError, match="seed"):
        env.reset(seed=-1)
    env.send([0, 0])
    for _ in range(2):  # while some are ready, some play and some wait
        observation, _ = env.reset(seed=3)
        expected, _ = together.reset(seed=3)
        np.testing.assert_array_equal(observation, expected[:2])
        env.send([0, 1])
        observation, *_, infos = env.recv()
        env.send([0, 1])
    assert env.recv()[0].shape == (2, 4, 84, 84)
    env.render_mode = "rgb_array"
    for call in (env.save_states, env.render):
        with pytest.raises(UserError, match="batch_size"):
            call()
    env.close()
    together.close()


def test_a_batch_that_was_interrupted_is_never_played_twice():
    env = make(num_envs=4, batch_size=2)
    _, infos = env.reset(seed=0)
    infos["env_id"][:] = 3  # the caller's own
    env._queue.send(np.array([0, 0]), None)  # and Ctrl-C before the env notices
    with pytest.raises(ResetNeeded, match="interrupted"):
        env.step([0, 0])
    env.reset(seed=0)
    assert env.step([0, 0])[4]["env_id"].tolist() == [2, 3]
    env.close()


def test_wrong_actions_cost_no_game_of_a_batch():
    env = make(num_envs=4, batch_size=2)
    env.reset(seed=0)
    with pytest.raises(UserError, match="actions"):
        env.step([0, 99])
    assert env.step([0, 1])[4]["env_id"].tolist() == [2, 3]
    env.close()


def test_batches_over_ends_of_games():
    env = make(num_envs=5, batch_size=3, autoreset_mode=SAME_STEP, continuous=True, **SHORT)
    env.action_space.seed(0)
    env.reset(seed=1)
    ended = 0
    for _ in range(60):
        env.send(env.action_space.sample())
        *_, truncated, infos = env.recv()
        for row in np.flatnonzero(truncated):
            assert infos["final_obs"][row].any()
            assert infos["final_info"]["episode_frame_number"][row] > 45
            ended += 1
    assert ended > 10
    env.close()


def test_an_interrupted_step_leaves_nothing_behind():
    """Ctrl-C between a step that was given to the threads and its end, in every place where Python may notice it."""
    env, other = make(num_threads=1), make(num_threads=1)
    env.reset(seed=0)
    consoles = env._consoles
    for unfinished in (lambda: consoles.send(np.array([1, 1, 1])), lambda: env.send([1, 1, 1])):
        unfinished()
        assert consoles.outstanding == 3
        env._is_pending = False
        env.reset(seed=5)
        other.reset(seed=5)
        np.testing.assert_array_equal(env.step([2, 2, 2])[0], other.step([2, 2, 2])[0])
    consoles.send(np.array([1, 1, 1]))
    other.step([1, 1, 1])
    np.testing.assert_array_equal(env.step([3, 3, 3])[0], other.step([3, 3, 3])[0])
    assert consoles.outstanding == 0
    assert len(consoles.recv_some(2)[0]) == 0  # nobody plays
    env.close()
    other.close()


@pytest.mark.parametrize("is_some", [False, True])
def test_what_was_sent_is_waited_for_before_games_are_saved(is_some):
    count = 64
    env, other = (make(num_envs=count, num_threads=1) for _ in range(2))
    for one in (env, other):
        one.reset(seed=0)
    actions = np.ones(count, dtype=np.int64)
    if is_some:
        env._consoles.send_some(np.arange(count, dtype=np.int32), actions)
    else:
        env._consoles.send(actions)
    saved = env._consoles.save()
    other._consoles.step(actions)
    for name, rows in other._consoles.save().items():
        np.testing.assert_array_equal(saved[name], rows)
    env.close()
    other.close()


def test_a_copy_is_another_object_at_the_same_place():
    env = make(**SHORT)
    unused = copy.deepcopy(env)
    assert unused.is_unseeded
    env.reset(seed=0)
    play(env, 9)
    for one in (copy.deepcopy(env), pickle.loads(pickle.dumps(env)), copy.copy(env)):
        for first, second in zip(play(one, 9, seed=5), play(copy.deepcopy(env), 9, seed=5), strict=True):
            np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(one.np_random.random(3), copy.deepcopy(env).np_random.random(3))
        one.close()
    assert play(env, 1)
    env.close()
    unused.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_after_a_fork_there_is_a_sentence():
    script = (
        "import os\nfrom rl_speed.emulator import AtariVectorEnv\nfrom rl_speed.system.errors import UserError\n"
        "envs = AtariVectorEnv('pong', 3, recompile=False)\nenvs.reset(seed=0)\n"
        "if os.fork() == 0:\n"
        "    try:\n        envs.step([0, 0, 0])\n"
        "    except UserError as error:\n        print(error, flush=True)\n"
        "    envs.close()\n    os._exit(0)\n"
        "os.wait()\nenvs.step([0, 0, 0])\nenvs.close()\nprint('played')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[0].startswith("envs: they were made before this process was forked"), done.stderr
    assert done.stdout.splitlines()[1] == "played", done.stderr


def test_processes_of_their_own():
    env = gymnasium.make_vec("rl_speed/Pong-v5", num_envs=2, vectorization_mode="async", recompile=False)
    together = gymnasium.make_vec("rl_speed/Pong-v5", num_envs=2, vectorization_mode="sync", recompile=False)
    np.testing.assert_array_equal(env.reset(seed=2)[0], together.reset(seed=2)[0])
    actions = np.array([2, 3])
    np.testing.assert_array_equal(env.step(actions)[0], together.step(actions)[0])
    env.close()
    together.close()


def test_a_step_can_be_sent_and_received():
    env = make()
    env.reset(seed=0)
    with pytest.raises(NoAsyncCallError):
        env.recv()
    env.send([1, 2, 3])
    for call in (lambda: env.send([1, 2, 3]), env.save_states, lambda: env.step([0, 0, 0])):
        with pytest.raises(AlreadyPendingCallError):
            call()
    sent = env.recv()
    env.send([3, 3, 3])
    env.reset(seed=0)  # drops what was sent
    np.testing.assert_array_equal(sent[0], env.step([1, 2, 3])[0])
    env.send([0, 0, 0])
    env.close()  # while games run
    env.close()
    with pytest.raises(ClosedEnvironmentError):
        env.step([0, 0, 0])


@pytest.mark.parametrize("obs_type", ["grayscale", "ram"])
def test_what_is_rendered_is_the_games_screen(obs_type):
    env = make("breakout", num_envs=2, render_mode="rgb_array", obs_type=obs_type, noop_max=1)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", 0)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(ale_py.roms.get_rom_path("breakout"))
    ale.reset_game()
    ale.act(ale_py.Action.FIRE)
    env.reset(seed=[0, 5])
    for _ in range(30):
        first, second = env.render()
        assert second.shape == (210, 160, 3)
        np.testing.assert_array_equal(first, ale.getScreenRGB())
        env.step([1, 0])
        for _ in range(4):
            ale.act(ale_py.Action.FIRE)
    env.close()
    blind = make(num_envs=1)
    blind.reset(seed=0)
    assert blind.render() is None
    blind.close()


def test_the_default_mode_by_number_is_the_default():
    env, other = make(mode=0), make()
    env.reset(seed=0)
    other.load_states(env.save_states())
    env.close()
    other.close()


def test_a_game_mode_can_be_chosen():
    env, usual = make(mode=1, difficulty=1, obs_type="ram"), make(obs_type="ram")
    selected = [one.reset(seed=0)[0][:, -1, 22].tolist() for one in (env, usual)]
    assert selected == [[1, 1, 1], [0, 0, 0]]  # where Pong keeps its mode
    env.close()
    usual.close()


def test_gymnasium_makes_every_game_by_name():
    gymnasium.register_envs(ale_py)
    names = {spec.name for spec in gymnasium.registry.values() if spec.namespace == "rl_speed"}
    theirs = {spec.name for spec in gymnasium.registry.values() if spec.namespace == "ALE" and spec.version == 5}
    assert names == theirs
    env = gymnasium.make_vec("rl_speed/Pong-v5", num_envs=2, recompile=False)
    expected = gymnasium.make_vec("ALE/Pong-v5", num_envs=2)
    assert env.spec.id == "rl_speed/Pong-v5"
    assert_alike(env.reset(seed=4), expected.reset(seed=4), "reset")
    for step in range(20):  # sticky actions, as ale-py's v5 has them
        actions = np.array([2 + step % 2, 3])
        assert_alike(env.step(actions), expected.step(actions), f"step {step}")
    env.close()
    expected.close()


def test_gymnasiums_wrappers():
    env = NormalizeObservation(RecordEpisodeStatistics(make(**SHORT)))
    env.reset(seed=0)
    lengths = []
    for _ in range(40):
        observation, _, _, _, infos = env.step(np.array([0, 1, 2]))
        assert np.isfinite(observation).all()
        lengths += infos["episode"]["l"][infos["_episode"]].tolist() if "episode" in infos else []
    assert lengths
    assert set(lengths) == {12}
    env.close()


@pytest.mark.parametrize("kind", ["NumpyToTorch", "RecordVideo"])
def test_gymnasiums_wrappers_that_need_other_packages(kind, tmp_path):
    pytest.importorskip({"NumpyToTorch": "array_api_compat", "RecordVideo": "moviepy"}[kind])
    from gymnasium.wrappers import vector

    if not hasattr(vector, kind):
        pytest.skip(f"this Gymnasium has no {kind} for vector envs")
    if kind == "NumpyToTorch":
        env = vector.NumpyToTorch(make())
        env.reset(seed=0)
        observation = env.step(torch.tensor([0, 1, 2]))[0]
        assert observation.shape == (3, 4, 84, 84)
        assert observation.dtype == torch.uint8
    else:
        env = vector.RecordVideo(
            make(render_mode="rgb_array"), str(tmp_path), step_trigger=lambda step: step == 0, video_length=10
        )
        env.reset(seed=0)
        for _ in range(15):
            env.step(np.array([0, 0, 0]))
    env.close()
    assert kind == "NumpyToTorch" or list(tmp_path.glob("*.mp4"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"game": "pongg"}, ["pongg", "pong"]),
        ({"game": "joust"}, ["joust", "one player"]),
        ({"num_envs": 0}, ["num_envs", "0", "1 to 65,536"]),
        ({"num_envs": 2.5}, ["num_envs", "2.5"]),
        ({"num_envs": True}, ["num_envs", "True"]),
        ({"batch_size": 4}, ["batch_size", "4", "0 to 3"]),
        ({"obs_type": ["ram"]}, ["obs_type", "['ram']"]),
        ({"num_threads": -1}, ["num_threads", "-1"]),
        ({"thread_affinity_offset": -2}, ["thread_affinity_offset", "-2"]),
        ({"max_num_frames_per_episode": 0}, ["max_num_frames_per_episode", "0"]),
        ({"repeat_action_probability": 1.5}, ["repeat_action_probability", "1.5"]),
        ({"repeat_action_probability": float("nan")}, ["repeat_action_probability", "nan"]),
        ({"autoreset_mode": "never"}, ["autoreset_mode", "never", "NextStep"]),
        ({"img_height": 5}, ["img_height", "5", "20 to 210"]),
        ({"img_width": 161}, ["img_width", "161", "20 to 160"]),
        ({"stack_num": 0}, ["stack_num", "0", "1 to 64"]),
        ({"frameskip": (2, 5)}, ["frameskip", "(2, 5)", "1 to 60"]),
        ({"noop_max": -1}, ["noop_max", "-1"]),
        ({"obs_type": "color"}, ["obs_type", "color", "rgb"]),
        ({"mode": 9}, ["mode", "9", "[0, 1]"]),
        ({"mode": 1.0}, ["mode", "1.0", "whole number"]),
        ({"difficulty": 7}, ["difficulty", "7"]),
        ({"render_mode": "human"}, ["render_mode", "human", "rgb_array"]),
        ({"continuous": True, "continuous_action_threshold": 2}, ["continuous_action_threshold", "2"]),
        ({"repeat_action_probability": "0.25"}, ["repeat_action_probability", "'0.25'"]),
        ({"reward_clipping": "False"}, ["reward_clipping", "'False'", "True or False"]),
        ({"batch_size": 2, "autoreset_mode": DISABLED}, ["batch_size"]),
    ],
)
def test_impossible_envs_are_refused(arguments, words):
    with pytest.raises(UserError) as error:
        make(**arguments)
    assert all(word in str(error.value) for word in words), error.value


def test_misuse_is_refused():
    env = make()
    with pytest.raises(ResetNeeded):
        env.step([0, 0, 0])
    env.reset(seed=0)
    for actions in ([0, 0], [0, 0, 6], [-1, 0, 0], [0.0, 1.0, 0.0], [[0], [0], [0]], "abc", None):
        with pytest.raises(UserError, match="actions"):
            env.step(actions)
    for seed in (-1, 2**32, 1.5, "a", [1, 2], [1, 2, -3], [1, 2, None], [1, [2, 3], 4], True):
        with pytest.raises(UserError, match="seed"):
            env.reset(seed=seed)
    for options in (
        {"mask": 1},
        {"reset_mask": [1, 0, 0]},
        {"reset_mask": [True]},
        {"reset_mask": [False] * 3},
        {"reset_mask": [[True], [True, False]]},
    ):
        with pytest.raises(UserError, match="reset_mask"):
            env.reset(options=options)
    for envs in ([3], [-1], [0.5], 1, [1, 1], [[0], [1, 2]]):
        with pytest.raises(UserError, match="envs"):
            env.save_states(envs)
    saved = env.save_states()
    with pytest.raises(UserError, match="3 states do not fit 2 envs"):
        env.load_states(saved, [0, 1])
    for states in ([], [1], "abc", 7, [saved, None]):
        with pytest.raises(UserError, match="states"):
            env.load_states(states)
    other = make(stack_num=2)
    with pytest.raises(UserError, match="saved by another version"):
        other.load_states(saved)
    continuous = make(continuous=True)
    continuous.reset(seed=0)
    for actions in ([0, 0, 0], np.full((3, 3), np.nan), np.zeros((2, 3))):
        with pytest.raises(UserError, match="actions"):
            continuous.step(actions)
    untouched = make()
    untouched.reset(seed=0)
    np.testing.assert_array_equal(env.step([0, 1, 2])[0], untouched.step([0, 1, 2])[0])  # nothing of it is left behind
    untouched.close()
    for one in (env, other, continuous):
        one.close()


def test_more_threads_than_cores_and_envs():
    env, alone = make(num_envs=9, num_threads=96, thread_affinity_offset=0), make(num_envs=9, num_threads=1)
    env.reset(seed=0)
    alone.reset(seed=0)
    for first, second in zip(play(env, 30), play(alone, 30), strict=True):
        np.testing.assert_array_equal(first, second)
    env.close()
    alone.close()


def test_no_env_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make_vec("rl_speed/Pong-v5", num_envs=2, recompile=False)
        env.reset(seed=0)
        env.step(np.array([0, 1]))
        env.close()
