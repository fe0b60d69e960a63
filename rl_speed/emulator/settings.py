"""How consoles are played: settings, checked, and as the C++ source wants them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from rl_speed.emulator.actions import ACTION_NAMES
from rl_speed.emulator.games import Game, action_number
from rl_speed.emulator.tables import colour_table, grey_table
from rl_speed.system.arrays import UInt8Array
from rl_speed.system.errors import UserError

SCREEN_COLUMNS = 160
RAM_BYTES = 128
MAX_STACK = 64
# As source/observe.h numbers them: in the step that ends a game, in the one after it, and when the caller says so.
RESET_MODES = ("same_step", "next_step", "disabled")
CHANNELS = {"grayscale": 1, "rgb": 3, "ram": 0}


class CSettings(ctypes.Structure):
    """Settings of source/observe.h."""

    _fields_ = [
        ("frame_skip", ctypes.c_int),
        ("max_pool", ctypes.c_int),
        ("noop_max", ctypes.c_int),
        ("fire_on_reset", ctypes.c_int),
        ("max_frames", ctypes.c_int),
        ("episodic_life", ctypes.c_int),
        ("life_loss_ends", ctypes.c_int),
        ("reset_mode", ctypes.c_int),
        ("draw_all", ctypes.c_int),
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
        ("first_row", ctypes.c_int),
        ("rows", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("stack", ctypes.c_int),
        ("default_mode", ctypes.c_int),
        ("mode", ctypes.c_int),
        ("difficulty", ctypes.c_int),
        ("cache_starts", ctypes.c_int),
        ("stickiness", ctypes.c_double),
        ("action", ctypes.c_int * len(ACTION_NAMES)),
        ("table", ctypes.c_ubyte * (3 * 2 * 256)),
    ]


@dataclass(frozen=True)
class ConsoleSettings:
    """How the consoles are played. But for the last three, the defaults are those of ale-py's AtariVectorEnv.

    Attributes:
        actions: names of the actions, in the order of the agent's; None for the game's minimal set.
        sticky_probability: that a frame repeats the last action.
        frame_skip: frames per step.
        max_pool: an observation is the maximum of the last two frames.
        noop_max: a game starts after 0..noop_max-1 frames without action.
        fire_on_reset: it starts with FIRE, where the action set that is played from holds it: the game's minimal
            one, or all that it takes if `actions` names others.
        max_frames: a game is cut off after so many.
        episodic_life: a lost life ends the game, and the next one starts from the beginning.
        life_loss_ends: a lost life is reported as an end, though the game goes on.
        image_height, image_width: the observation's size, before the crop.
        first_row, rows: the rows of it that are kept; None for all.
        mode, difficulty: of the game; None for its default.
        observation: what an observation shows: one of CHANNELS.
        draw_all: every picture is drawn, also those that no observation needs, for `inspect`; costs speed.
        frame_stack: frames of an observation.
        reset_mode: when the next game starts: one of RESET_MODES.
        cache_starts: play the start of a game once for each number of no-ops and copy it then, in games whose resets
            were all seen to lead to the same RAM, screen and next 40 frames.
    """

    actions: tuple[str, ...] | None = None
    sticky_probability: float = 0.0
    frame_skip: int = 4
    max_pool: bool = True
    noop_max: int = 30
    fire_on_reset: bool = True
    max_frames: int = 108_000
    episodic_life: bool = False
    image_height: int = 84
    image_width: int = 84
    first_row: int = 0
    rows: int | None = None
    mode: int | None = None
    difficulty: int = 0
    life_loss_ends: bool = False
    observation: str = "grayscale"
    draw_all: bool = False
    frame_stack: int = 1
    reset_mode: str = "same_step"
    cache_starts: bool = True

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Of one frame of an observation: [H, W], [H, W, 3] or [128]."""
        channels = CHANNELS[self.observation]
        if channels == 0:
            return (RAM_BYTES,)
        rows = self.image_height - self.first_row if self.rows is None else self.rows
        return (rows, self.image_width) if channels == 1 else (rows, self.image_width, channels)

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """That of a frame; with the number of frames before it where they are stacked."""
        return self.frame_shape if self.frame_stack == 1 else (self.frame_stack, *self.frame_shape)


def _channel_tables(channels: int) -> UInt8Array:
    """uint8 [channels, NTSC or PAL, 256]: what palette values are in each channel."""
    if channels == 1:
        return np.stack([grey_table(False), grey_table(True)])[None]
    colours: UInt8Array = np.stack([colour_table(False), colour_table(True)]).transpose(2, 0, 1).copy()
    return colours[:channels]


def c_settings(game: Game, given: ConsoleSettings) -> tuple[CSettings, list[str]]:
    """The settings as the C++ source wants them, and the names of the agent's actions.

    Raises:
        UserError: a mode, difficulty or size that cannot be.
    """
    facts = game.facts
    names = list(given.actions or game.minimal_actions)
    mode = facts["default_mode"] if given.mode is None else given.mode
    if mode not in game.modes:
        raise UserError(f"mode: {game.name} has no mode {mode}; choose one of {game.modes}.")
    if given.difficulty not in facts["difficulties"] and given.difficulty != 0:
        raise UserError(
            f"difficulty: {game.name} has no difficulty {given.difficulty}; choose one of {facts['difficulties']}."
        )
    unknown = [name for name in names if name not in ACTION_NAMES]
    if unknown or not 1 <= len(names) <= len(ACTION_NAMES):
        raise UserError(f"actions: {names} cannot be played; give 1 to {len(ACTION_NAMES)} names of ale-py's actions.")
    rows = given.image_height - given.first_row if given.rows is None else given.rows
    for name, value, least, most in (
        ("frame_skip", given.frame_skip, 1, 60),
        ("noop_max", given.noop_max, 0, 1000),
        ("max_frames", given.max_frames, 1, 2**31 - 1),
        ("first_row", given.first_row, 0, given.image_height - 1),
        ("rows", rows, 1, given.image_height - given.first_row),
        ("frame_stack", given.frame_stack, 1, MAX_STACK),
    ):
        if not least <= value <= most:
            raise UserError(f"{name}: {value} cannot be; give {least} to {most}.")
    if not (20 <= given.image_height <= 210 and 20 <= given.image_width <= SCREEN_COLUMNS):
        size = f"{given.image_height} x {given.image_width}"
        raise UserError(f"image: {size} pixels cannot be made; give 20 to 210 rows and 20 to {SCREEN_COLUMNS} columns.")
    c = CSettings()
    c.frame_skip, c.max_pool, c.noop_max = given.frame_skip, int(given.max_pool), given.noop_max
    c.fire_on_reset = int(given.fire_on_reset and "FIRE" in game.opened_actions(names))
    c.max_frames, c.episodic_life = given.max_frames, int(given.episodic_life)
    c.height, c.width = given.image_height, given.image_width
    c.first_row, c.rows = given.first_row, rows
    c.default_mode, c.mode, c.difficulty = facts["default_mode"], mode, given.difficulty
    usual = mode == facts["default_mode"] and given.difficulty == 0
    # Cartridges with RAM of their own draw it at every reset.
    c.cache_starts = int(given.cache_starts and game.has_one_start and usual and not facts["cart"].endswith("SC"))
    c.stickiness = float(np.float32(given.sticky_probability))
    for index, name in enumerate(names):
        c.action[index] = action_number(name)
    c.life_loss_ends, c.draw_all = int(given.life_loss_ends), int(given.draw_all)
    c.channels, c.stack = CHANNELS[given.observation], given.frame_stack
    c.reset_mode = RESET_MODES.index(given.reset_mode)
    tables = _channel_tables(c.channels)
    ctypes.memmove(c.table, tables.ctypes.data, tables.nbytes)
    return c, names
