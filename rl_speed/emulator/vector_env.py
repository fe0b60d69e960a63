"""Many games as one Gymnasium vector env: ale-py's AtariVectorEnv, faster, with exact saves (docs/vector_env.md)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import AlreadyPendingCallError, ClosedEnvironmentError, NoAsyncCallError, ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rl_speed.emulator.actions import ACTION_NAMES
from rl_speed.emulator.arguments import as_array, as_autoreset_mode, as_obs_type, as_seeds, flag, is_gpu, number, whole
from rl_speed.emulator.checks import MAX_CONSOLES
from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.continuous import as_discrete
from rl_speed.emulator.games import find_game
from rl_speed.emulator.ready_queue import ReadyQueue
from rl_speed.emulator.records import Step
from rl_speed.emulator.saved_states import SavedStates
from rl_speed.emulator.settings import MAX_STACK, SCREEN_COLUMNS, ConsoleSettings
from rl_speed.emulator.tables import colour_table
from rl_speed.system.arrays import BoolArray, Int32Array, Int64Array, UInt8Array
from rl_speed.system.cores import usable_cores
from rl_speed.system.errors import UserError

Reset = tuple[UInt8Array, dict[str, Any]]
StepResult = tuple[UInt8Array, Int32Array, BoolArray, BoolArray, dict[str, Any]]

_RESET_MODES = {
    AutoresetMode.NEXT_STEP: "next_step",
    AutoresetMode.SAME_STEP: "same_step",
    AutoresetMode.DISABLED: "disabled",
}
_FRAMES_PER_SECOND = 60
_COUNTERS = ("lives", "frame_number", "episode_frame_number")


class AtariVectorEnv(VectorEnv[UInt8Array, Any, Any]):
    """N games of one kind, emulated and preprocessed by C++ threads.

    Arguments up to `use_fire_reset` have the names and the defaults of ale_py.vector_env.AtariVectorEnv, and the games
    are the same, frame by frame. Arrays that are returned are the caller's own.

    Args:
        game: in snake_case, e.g. "space_invaders".
        num_envs: N, 1 to 65,536.
        batch_size: envs that `recv` waits for, the first that are ready; 0: all N.
        num_threads: that emulate; 0: one for each core that this process may use, and no more than envs.
        thread_affinity_offset: core of the first thread, the next one has the next core; -1: as the system likes.
        max_num_frames_per_episode: a game is truncated after so many frames.
        repeat_action_probability: that a frame repeats the last action (Machado et al. 2018: 0.25).
        full_action_space: all actions that the game takes, instead of those that do anything in it.
        continuous: actions are [radius, angle, fire], which turn paddles as far as the radius says.
        continuous_action_threshold: from here on a direction counts, and the button.
        autoreset_mode: when a game that is over is followed by the next one (an AutoresetMode, or its value).
        img_height, img_width: pixels of an observation, 20 to 210 and 20 to 160.
        grayscale: observations are grey, otherwise in colour.
        stack_num: frames in an observation.
        frameskip: frames per step.
        maxpool: an observation is the maximum of a step's last two frames.
        noop_max: a game starts after 0 to noop_max - 1 frames without action.
        episodic_life: a lost life ends the game.
        life_loss_info: a lost life is reported as `terminated`, though the game goes on.
        reward_clipping: rewards are clipped to -1 to 1; infos["reward"] never is.
        use_fire_reset: press FIRE at the start, where the game has it.
        obs_type: "grayscale", "rgb" or "ram"; None: as `grayscale` says.
        mode, difficulty: of the game; None: its default.
        render_mode: "rgb_array" for `render`, which then shows every picture as it was; costs speed.
        recompile: run the game's ROM as compiled blocks; False: the interpreter, which is slower and sooner ready.
        device: "cpu" or "cuda". On a GPU everything that is returned is tensors there, actions may be, and `final_obs`
            is one tensor; observations are grey, nothing is rendered, and there is no batch_size.

    Raises:
        UserError: a game, a number or a mode that cannot be, or no C++ compiler.

    Source: Gymnasium 1.1, vector environments; ale-py 0.12, vector environments.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012

    def __init__(
        self,
        game: str,
        num_envs: int = 1,
        *,
        batch_size: int = 0,
        num_threads: int = 0,
        thread_affinity_offset: int = -1,
        max_num_frames_per_episode: int = 108_000,
        repeat_action_probability: float = 0.0,
        full_action_space: bool = False,
        continuous: bool = False,
        continuous_action_threshold: float = 0.5,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        img_height: int = 84,
        img_width: int = 84,
        grayscale: bool = True,
        stack_num: int = 4,
        frameskip: int = 4,
        maxpool: bool = True,
        noop_max: int = 30,
        episodic_life: bool = False,
        life_loss_info: bool = False,
        reward_clipping: bool = True,
        use_fire_reset: bool = True,
        obs_type: str | None = None,
        mode: int | None = None,
        difficulty: int | None = None,
        render_mode: str | None = None,
        recompile: bool = True,
        device: str = "cpu",
    ) -> None:
        # Until all is there, there is nothing to close: older Gymnasiums close what could not be made, too.
        self.closed = True
        self._arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        self._game = find_game(game)
        self.num_envs = whole("num_envs", num_envs, 1, MAX_CONSOLES)
        self.batch_size = whole("batch_size", batch_size, 0, num_envs) or self.num_envs
        if render_mode not in (None, "rgb_array"):
            raise UserError(f"render_mode: {render_mode!r} is not known; give 'rgb_array' or None")
        self.autoreset_mode = as_autoreset_mode(autoreset_mode)
        if self.batch_size < self.num_envs and self.autoreset_mode == AutoresetMode.DISABLED:
            raise UserError("batch_size: envs that are handed out one by one must reset themselves; leave it out")
        threshold = number("continuous_action_threshold", continuous_action_threshold, 0, 1)
        self._threshold = threshold if flag("continuous", continuous) else None
        is_full = flag("full_action_space", full_action_space)
        names = ACTION_NAMES if continuous else self._game.legal_actions if is_full else self._game.minimal_actions
        settings = ConsoleSettings(
            actions=tuple(names),
            sticky_probability=number("repeat_action_probability", repeat_action_probability, 0, 1),
            frame_skip=whole("frameskip", frameskip, 1, 60),
            max_pool=flag("maxpool", maxpool),
            noop_max=whole("noop_max", noop_max, 0, 1000),
            fire_on_reset=flag("use_fire_reset", use_fire_reset),
            max_frames=whole("max_num_frames_per_episode", max_num_frames_per_episode, 1, 2**31 - 1),
            episodic_life=flag("episodic_life", episodic_life),
            image_height=whole("img_height", img_height, 20, 210),
            image_width=whole("img_width", img_width, 20, SCREEN_COLUMNS),
            mode=None if mode is None else whole("mode", mode, 0, 2**31 - 1),
            difficulty=0 if difficulty is None else whole("difficulty", difficulty, 0, 3),
            life_loss_ends=flag("life_loss_info", life_loss_info),
            observation=as_obs_type(obs_type, flag("grayscale", grayscale)),
            draw_all=render_mode is not None,
            frame_stack=whole("stack_num", stack_num, 1, MAX_STACK),
            reset_mode=_RESET_MODES[self.autoreset_mode],
        )
        self._clips = flag("reward_clipping", reward_clipping)
        threads = whole("num_threads", num_threads, 0, 1024) or usable_cores().count
        first_core = whole("thread_affinity_offset", thread_affinity_offset, -1, 1023)
        self.is_on_gpu = is_gpu(device)
        self._consoles: Any
        if self.is_on_gpu:
            try:
                from rl_speed.emulator.device_consoles import DeviceConsoles
            except ModuleNotFoundError as error:
                raise UserError(f"device: a GPU takes torch ({error}); `pip install 'rl-speed[cuda]'`") from error

            if self.batch_size < self.num_envs:
                raise UserError("batch_size: on a GPU all envs step together; leave it out")
            self._consoles = DeviceConsoles(self._game, self.num_envs, settings)
        else:
            self._consoles = Consoles(
                self._game, self.num_envs, settings, threads,
                recompile="later" if flag("recompile", recompile) else False, first_core=first_core,
            )  # fmt: skip
        self._queue = ReadyQueue(self._consoles, self.batch_size) if self.batch_size < self.num_envs else None
        self.render_mode = render_mode
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": max(1, _FRAMES_PER_SECOND // settings.frame_skip),
            "autoreset_mode": self.autoreset_mode,
        }
        self._set_spaces(settings)
        self._needs_seed = np.ones(self.num_envs, dtype=np.bool_)
        self._is_ready = False  # none of them does, as far as was looked
        self._is_over = np.zeros(self.num_envs, dtype=np.bool_)  # without auto-reset: the caller must reset them
        self._is_pending = False
        self.closed = False

    def _set_spaces(self, settings: ConsoleSettings) -> None:
        self._shape = (settings.frame_stack, *settings.frame_shape)
        self.single_observation_space = spaces.Box(0, 255, self._shape, np.uint8)
        if self._threshold is None:
            self.single_action_space: Any = spaces.Discrete(len(self._consoles.action_names))
        else:
            low, high = np.array([0, -np.pi, 0], np.float32), np.array([1, np.pi, 1], np.float32)
            self.single_action_space = spaces.Box(low, high, dtype=np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.batch_size)
        self.action_space = batch_space(self.single_action_space, self.batch_size)

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickle or a deep copy is another object whose games are at the same place."""
        self._check_idle()
        return _rebuilt, (self._arguments, self._saved(None), self._needs_seed, self._is_over, self.np_random)

    @property
    def is_unseeded(self) -> bool:
        """Whether an env was never reset, so that its first game needs a seed."""
        self._is_ready = self._is_ready or not self._needs_seed.any()  # once reset, always reset
        return not self._is_ready

    def finish_compiling(self) -> None:
        """Waits for the compiler, so that what follows runs at full speed; between two steps."""
        self._check_open()
        self._consoles.upgrade(wait=True)

    def get_action_meanings(self) -> list[str]:
        """Names of the discrete actions, in their order."""
        return list(self._consoles.action_names)

    # --- reset ---

    def reset(
        self, *, seed: int | Sequence[int] | np.ndarray[Any, Any] | None = None, options: dict[str, Any] | None = None
    ) -> Reset:
        """Starts new games, in all envs or in those of a mask. A step that was sent and not received is dropped.

        Args:
            seed: the k-th env that is reset is loaded anew with seed + k, as in ale-py, or with the k-th of a list
                (one for each that is reset, or one for each of all N); None: games start with the random numbers
                going on, and an env's first game with fresh ones.
            options: {"reset_mask": bool [N]}: the envs to reset; the others show what they showed.

        Returns:
            uint8 [N, *single_observation_space.shape], and the infos; with batch_size those of the first that many.

        Raises:
            UserError: a seed, an option or a mask that cannot be.
        """
        self._check_open()
        mask = self._reset_mask(options)
        chosen = np.ones(self.num_envs, dtype=np.bool_) if mask is None else mask
        seeds = None if seed is None else as_seeds(seed, chosen)
        if isinstance(seed, (int, np.integer)):
            self._np_random, self._np_random_seed = seeding.np_random(int(seed))
        step = self._start(chosen, seeds)
        self._is_pending = False
        self._needs_seed[chosen] = self._is_over[chosen] = False
        indices = None
        if self._queue:
            self._queue.started(step)
            indices, step = self._queue.recv()
        return self._stacked(step.observation), self._infos(step, indices)

    def _start(self, chosen: BoolArray, seeds: Int64Array | None) -> Any:
        if seeds is not None:
            return self._consoles.seed(seeds, None if chosen.all() else chosen)
        fresh = chosen & self._needs_seed
        if not fresh.any():
            return self._consoles.reset(None if chosen.all() else chosen)
        step = self._consoles.seed(self.np_random.integers(2**32, size=self.num_envs), fresh)
        going_on = chosen & ~fresh
        return self._consoles.reset(going_on) if going_on.any() else step

    def _reset_mask(self, options: dict[str, Any] | None) -> BoolArray | None:
        unknown = set(options or ()) - {"reset_mask"}
        if unknown:
            raise UserError(f"options: {sorted(map(str, unknown))} are not known; give reset_mask or nothing")
        if not options:
            return None
        mask = as_array(options["reset_mask"])
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise UserError(
                f"reset_mask: {options['reset_mask']!r} must be {self.num_envs} booleans, one of them true at least"
            )
        if self._queue and not mask.all():
            raise UserError("reset_mask: with batch_size all envs are reset together; leave it out")
        return mask

    # --- step ---

    def step(self, actions: Any) -> StepResult:
        """One step of every env.

        Args:
            actions: [N] integers or, if continuous, [N, 3] numbers, which are clipped to the action space.

        Returns:
            Observations uint8 [N, *single_observation_space.shape], rewards int32 [N], terminated and truncated
            bool [N], and infos, [N] each: env_id, lives, frame_number, episode_frame_number, reward (never clipped)
            and game_over (also where `terminated` says that a life was lost). After an end with
            AutoresetMode.SAME_STEP the first four are the next game's, as the observation is, and infos holds the
            last observation under final_obs (an array of arrays, None where nothing ended), and final_info with the
            last game's lives and frame numbers; _final_obs and _final_info say in which envs.

        Raises:
            UserError: actions that cannot be.
            ResetNeeded: an env was not reset yet or, without auto-reset, is over.
        """
        if self._queue:
            self.send(actions)
            return self.recv()
        return self._result(self._consoles.step(*self._checked(actions)), None)

    def send(self, actions: Any) -> None:
        """Starts a step and returns; `recv` waits for it.

        With batch_size the actions are for the envs that were received last.
        """
        (self._queue or self._consoles).send(*self._checked(actions))
        self._is_pending = True

    def recv(self) -> StepResult:
        """Waits for the step that `send` started; see `step`. With batch_size, for the first that many envs."""
        self._check_open()
        if not self._is_pending:
            raise NoAsyncCallError("recv: no step was sent; call send first", "step")
        self._is_pending = False
        indices, step = self._queue.recv() if self._queue else (None, self._consoles.recv())
        return self._result(step, indices)

    def _result(self, step: Any, indices: Int32Array | None) -> StepResult:
        infos = self._infos(step, indices)
        rewards = _int32(step.reward)
        infos["reward"], infos["game_over"] = rewards, step.ended
        done = step.terminated | step.truncated
        if self.is_on_gpu:
            self._note_ends_there(step, done, infos)
        elif done.any():
            self._note_ends(step, done, infos)
        reward = _clipped(rewards) if self._clips else rewards + 0  # the caller's own
        return self._stacked(step.observation), reward, step.terminated, step.truncated, infos

    def _note_ends_there(self, step: Any, done: Any, infos: dict[str, Any]) -> None:
        """On a GPU: nothing asks there whether a game ended, for that would wait."""
        if self.autoreset_mode == AutoresetMode.DISABLED:
            self._is_over[:] = step.ended.cpu().numpy()
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            ended = step.ended[:, None, None, None]
            infos["final_obs"], infos["_final_obs"] = step.final_observation.where(ended, step.observation), done
            infos["final_info"], infos["_final_info"] = _final_info(step, done), done

    def _note_ends(self, step: Step, done: BoolArray, infos: dict[str, Any]) -> None:
        if self.autoreset_mode == AutoresetMode.DISABLED:
            self._is_over[infos["env_id"]] = step.ended
        if self.autoreset_mode != AutoresetMode.SAME_STEP:
            return
        final = np.full(len(done), None, dtype=object)
        for index in np.flatnonzero(done):
            # Where a life was lost and the game goes on, what it shows is the last observation.
            shown = step.final_observation if step.ended[index] else step.observation
            final[index] = shown[index].reshape(self._shape).copy()
        infos["final_obs"], infos["_final_obs"] = final, done
        infos["final_info"], infos["_final_info"] = _final_info(step, done), done

    def _checked(self, actions: Any) -> tuple[Int64Array, Int32Array | None]:
        """Actions as the consoles take them, of envs that can take a step."""
        self._check_open()
        if self.is_unseeded:
            raise ResetNeeded("step: call reset first")
        if self._is_pending:
            raise AlreadyPendingCallError("step: one was sent already; call recv first", "step")
        if self.autoreset_mode == AutoresetMode.DISABLED and self._is_over.any():
            over = np.flatnonzero(self._is_over).tolist()
            raise ResetNeeded(f"step: the games of envs {over} are over; reset them, e.g. with a reset_mask")
        count = len(self._queue.held) if self._queue else self.num_envs
        if self._queue and count == 0:
            raise ResetNeeded("step: an earlier one was interrupted; call reset first")
        if self.is_on_gpu and self._consoles.is_tensor(actions):
            if self._threshold is None and tuple(actions.shape) == (count,) and not actions.is_floating_point():
                return actions, None
            actions = actions.cpu().numpy()
        given = as_array(actions)
        if self._threshold is not None:
            if given.shape != (count, 3) or given.dtype.kind not in "iuf" or not np.isfinite(given).all():
                raise UserError(f"actions: {actions!r} must be finite numbers of shape ({count}, 3)")
            box = self.single_action_space
            return as_discrete(np.clip(given, box.low, box.high), self._threshold)
        if given.shape != (count,) or given.dtype.kind not in "iu":
            raise UserError(f"actions: {actions!r} must be {count} integers")
        # Elsewhere the consoles look.
        if self.is_on_gpu and (given.min() < 0 or given.max() >= self.single_action_space.n):
            raise UserError(f"actions: {actions!r} must be indices from 0 to {self.single_action_space.n - 1}")
        return given.astype(np.int64), None

    def _stacked(self, observation: UInt8Array) -> UInt8Array:
        """[N, frames, ...], also where there is one frame; a tensor on a GPU."""
        return observation.reshape(len(observation), *self._shape)

    def _infos(self, step: Any, indices: Int32Array | None = None) -> dict[str, Any]:
        infos: dict[str, Any] = {"env_id": np.arange(self.num_envs, dtype=np.int32) if indices is None else indices}
        for name in _COUNTERS:
            infos[name] = _int32(getattr(step, name))
        return infos

    # --- state ---

    def save_states(self, envs: Sequence[int] | np.ndarray[Any, Any] | None = None) -> SavedStates:
        """The games as they are, to be given to `load_states`: to the bit, as often as wanted, in any env.

        Args:
            envs: whose games, in this order; None: all.

        Raises:
            UserError: no such env, or batch_size is used.
            ResetNeeded: an env has no game yet.
        """
        self._check_idle()
        chosen = self._numbers(envs)
        if self._needs_seed[chosen].any():
            raise ResetNeeded("save_states: call reset first")
        return self._saved(chosen)

    def _saved(self, chosen: Int64Array | None) -> SavedStates:
        rows = self._consoles.save(chosen)
        return SavedStates(rows, rows.pop("fingerprint"))

    def load_states(
        self,
        states: SavedStates | Sequence[SavedStates],
        envs: Sequence[int] | np.ndarray[Any, Any] | None = None,
    ) -> Reset:
        """Goes on from saved games, which may be those of other envs and of other processes.

        Args:
            states: as many as envs; a list of them will do.
            envs: that take them, in this order; None: all.

        Returns:
            Observations and infos of all envs, as `reset` gives them.

        Raises:
            UserError: states of another game, other settings or another version, or not one for each env.
        """
        self._check_idle()
        chosen = self._numbers(envs)
        given = SavedStates.joined([states] if isinstance(states, SavedStates) else states)
        if len(given) != len(chosen):
            raise UserError(f"load_states: {len(given)} states do not fit {len(chosen)} envs; give one for each")
        self._consoles.restore({**given.rows, "fingerprint": given.fingerprint}, chosen)
        self._needs_seed[chosen] = False
        step = self._consoles.show()
        ended = step.ended.cpu().numpy() if self.is_on_gpu else step.ended
        self._is_over[chosen] = ended[chosen] & (self.autoreset_mode == AutoresetMode.DISABLED)
        return self._stacked(step.observation), self._infos(step)

    def _numbers(self, envs: Any) -> Int64Array:
        """Which envs are meant, int64."""
        chosen = np.arange(self.num_envs) if envs is None else as_array(envs)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not ((chosen >= 0) & (chosen < self.num_envs)).all():
            raise UserError(f"envs: {envs!r} must be numbers from 0 to {self.num_envs - 1}")
        if len(np.unique(chosen)) < len(chosen):
            raise UserError(f"envs: {envs!r} names an env twice; give each once")
        return chosen.astype(np.int64)

    # --- looking at it ---

    def render(self) -> tuple[UInt8Array, ...] | None:
        """The games' screens, uint8 [height, 160, 3] each, with render_mode "rgb_array"; else None."""
        self._check_open()
        if self.render_mode is None:
            return None
        self._check_idle()
        if self.is_unseeded:
            raise ResetNeeded("render: call reset first")
        readouts = (self._consoles.inspect(index) for index in range(self.num_envs))
        return tuple(colour_table(bool(one.registers["is_pal"]))[one.screen] for one in readouts)

    def _check_open(self) -> None:
        if self.closed:
            raise ClosedEnvironmentError("the envs are closed; make new ones")

    def _check_idle(self) -> None:
        """Refuses what needs games that stand still."""
        self._check_open()
        if self._queue:
            raise UserError("batch_size: games that stand still can be saved, loaded and shown; leave it out")
        if self._is_pending:
            raise AlreadyPendingCallError("a step was sent; call recv first", "step")

    def close_extras(self, **kwargs: Any) -> None:
        """Ends the threads."""
        self._consoles.close()


def _rebuilt(
    arguments: dict[str, Any],
    states: SavedStates,
    needs_seed: BoolArray,
    is_over: BoolArray,
    np_random: np.random.Generator,
) -> AtariVectorEnv:
    """What was pickled."""
    envs = AtariVectorEnv(**arguments)
    envs.load_states(states)
    envs._needs_seed[:], envs._is_over[:], envs._is_ready = needs_seed, is_over, False
    envs.np_random = copy.deepcopy(np_random)
    return envs


def _final_info(step: Any, done: Any) -> dict[str, Any]:
    """The last game's numbers, each with a mask as Gymnasium has it."""
    last = {name: _int32(getattr(step, f"final_{name}")) for name in _COUNTERS}
    return {**last, **{f"_{name}": done for name in last}}


def _int32(values: Any) -> Any:
    """An array, which is of int32 already, or a tensor of int32."""
    return values if isinstance(values, np.ndarray) else values.int()


def _clipped(rewards: Any) -> Any:
    """From -1 to 1. Two calls of numpy's are half as long as its `clip`."""
    return np.minimum(np.maximum(rewards, -1), 1) if isinstance(rewards, np.ndarray) else rewards.clip(-1, 1)
