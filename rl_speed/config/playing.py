"""The sections that say what is played, where, and what is kept of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, ValidationInfo, field_validator, model_validator

from rl_speed.config.section import Section
from rl_speed.emulator.actions import ACTION_NAMES
from rl_speed.emulator.games import NOT_FOR_ONE_PLAYER, game_names

DEFAULT_GAME = "pong"


def atari_game(content: Mapping[str, Any]) -> str | None:
    """The game of ale-py that nested settings ask for; None if they ask for another env."""
    envs = content.get("envs", {})
    if not isinstance(envs, dict):
        return DEFAULT_GAME
    if envs.get("id") is not None or envs.get("backend") == "gymnasium":
        return None
    return str(envs.get("game", DEFAULT_GAME))


class EnvsConfig(Section):
    """The game, how it is shown to the network, and how many copies of it run in one process."""

    id: str | None = Field(
        None,
        min_length=1,
        description="one of Gymnasium's envs instead of a game, e.g. CarRacing-v3 or my_package:MyEnv-v0; of this "
        "section hold for it: options, render_observation, count, image_*, crop_*, frame_stack, clip_reward and (where "
        "the env tells its lives) episodic_life; all else is for games of ale-py",
    )
    options: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="of envs.id: what gymnasium.make takes, e.g. {continuous: false, max_episode_steps: 500}",
    )
    render_observation: bool = Field(
        False, description="of envs.id: the network sees what the env renders, whatever the env's own observation is"
    )
    game: str = Field(
        DEFAULT_GAME, description="ALE game in snake_case, e.g. pong, ms_pacman; with envs.id, that stands here, too"
    )
    backend: Literal["classic", "ale_vector", "native", "cuda", "gymnasium"] = Field(
        "ale_vector",
        description="classic: one Python env at a time; ale_vector: ale-py's C++ vector env; native: our own emulator; "
        "cuda: our own on the GPU, where frames stay; gymnasium: whatever envs.id or env= says, and always that then",
    )
    mode: int | None = Field(
        None, ge=0, description="of the game, one that it has (not with ale_vector); null: its default"
    )
    difficulty: int = Field(
        0, ge=0, le=3, description="0: as ale-py starts; 1: left switch at A, 2: right, 3: both (not with ale_vector)"
    )
    count: int = Field(1, ge=1, le=65_536, description="envs stepped together in one process")
    threads: int = Field(0, ge=0, le=1024, description="threads of the vector env; 0: chosen from the cores")
    actions: Literal["minimal", "full"] | Annotated[tuple[str, ...], Field(strict=False)] = Field(
        "minimal", description="the game's minimal set, all that it takes (18 in most), or a list of ALE's names"
    )
    image_height: int = Field(84, ge=20, le=210, description="pixels (Mnih 2015: 84)")
    image_width: int = Field(84, ge=20, le=160, description="pixels (Mnih 2015: 84)")
    crop_top: int = Field(0, ge=0, le=200, description="rows cut from the resized image's top")
    crop_bottom: int = Field(0, ge=0, le=200, description="rows cut from the resized image's bottom")
    frame_stack: int = Field(4, ge=1, le=16, description="frames in one observation (Mnih 2015: 4)")
    frame_skip: int = Field(4, ge=1, le=60, description="frames per env step (Mnih 2015: 4)")
    max_pool: bool = Field(True, description="pixel maximum of the last two frames of a step (Mnih 2015)")
    noop_max: int = Field(30, ge=0, le=1000, description="a game starts with 0..noop_max-1 no-ops (Mnih 2015)")
    fire_on_reset: bool = Field(True, description="press FIRE once at the start, where the game has it")
    episodic_life: bool = Field(False, description="a lost life ends the return that is learned, not the game")
    clip_reward: bool = Field(True, description="learn from the reward clipped to -1..1 (Mnih 2015)")
    sticky_probability: float = Field(0.0, ge=0, lt=1, description="chance that ALE repeats the last action")
    max_episode_frames: int = Field(108_000, ge=4, description="time limit of a game in frames (30 minutes)")
    reseed_env_steps: int = Field(
        4000,
        ge=1,
        description="for resume: an env starts its next game from a fresh seed after this many env steps",
    )

    @model_validator(mode="before")
    @classmethod
    def _what_the_id_decides(cls, content: Any) -> Any:
        """An env of the registry is played under its own name, and by Gymnasium."""
        name = content.get("id") if isinstance(content, dict) else None
        if name is None:
            return content
        if content.get("game", name) != name:
            raise ValueError(
                f"envs.id = {name!r} and envs.game = {content['game']!r} exclude each other; leave one of them out"
            )
        return {**content, "game": name, "backend": "gymnasium"}

    @field_validator("id")
    @classmethod
    def _no_game_of_ale_py(cls, name: str | None) -> str | None:
        if name is not None:
            from rl_speed.emulator.registration import game_of_id

            if game := game_of_id(name):
                raise ValueError(f"is a game of ale-py; leave envs.id out and set envs.game to {game}")
        return name

    @field_validator("game")
    @classmethod
    def _known_game(cls, game: str, info: ValidationInfo) -> str:
        from ale_py import roms

        if game == info.data.get("id"):
            return game
        if game in NOT_FOR_ONE_PLAYER:
            raise ValueError("is a ROM that ale-py ships but cannot play with one player; choose another, e.g. pong")
        known = [name for name in roms.get_all_rom_ids() if name in game_names()]
        if game in known:
            return game
        near = difflib.get_close_matches(game.lower().replace("-", "_"), known, n=3) or ["pong", "breakout"]
        raise ValueError(f"is not a game of ale-py; did you mean {' or '.join(near)}?")

    @field_validator("actions")
    @classmethod
    def _known_actions(cls, actions: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(actions, str):
            return actions
        for name in actions:
            if name not in ACTION_NAMES:
                raise ValueError(f"holds {name!r}; use names from {', '.join(ACTION_NAMES)}")
        if len(set(actions)) != len(actions) or len(actions) < 2:
            raise ValueError("must hold at least two different action names")
        return actions

    @property
    def frame_height(self) -> int:
        """Rows of a stored frame, after the crop."""
        return self.image_height - self.crop_top - self.crop_bottom

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """(K, H, W) of what the network reads: frames, rows and columns."""
        return self.frame_stack, self.frame_height, self.image_width

    @property
    def is_atari(self) -> bool:
        """Whether a game of ale-py is played, by whatever backend."""
        return self.backend != "gymnasium"

    @property
    def name(self) -> str:
        """What is played, for people."""
        return self.game if self.is_atari or self.id is not None else "own env"

    @property
    def steps_in_turn(self) -> bool:
        """Whether the envs of a process take their steps one after the other, on the thread that asks for them."""
        return self.backend in ("classic", "gymnasium")

    @property
    def frames_per_env_step(self) -> int:
        """Pictures of the emulator; what other envs do in a step is one."""
        return self.frame_skip if self.is_atari else 1

    @property
    def is_default_variant(self) -> bool:
        """Whether the game is played as ale-py's vector env plays it: in its default mode, with the switches at B."""
        return self.mode is None and self.difficulty == 0


class ActorsConfig(Section):
    """Where experience is generated: in the learner's process, or in processes of its own, here or elsewhere."""

    kind: Literal["in_process", "subprocess", "ray"] = Field(
        "in_process",
        description="in_process: play and train in turn; subprocess: play and train apart; ray: apart, anywhere in a "
        "Ray cluster",
    )
    count: int = Field(1, ge=1, le=256, description="actor processes (not in_process), envs.count envs each")
    rollout_env_steps: int = Field(1, ge=1, le=4096, description="env steps of each env in one rollout")
    threads: int = Field(1, ge=1, le=256, description="torch threads of each actor process")
    networks: int = Field(
        1,
        ge=1,
        le=64,
        description="acting networks, each a rollout older than the one before; at most one for each actor",
    )
    free_running: bool = Field(
        False, description="learner and actors do not wait for each other; the replay ratio is what it is"
    )
    timeout_seconds: float = Field(
        60.0, gt=0, le=604_800, description="a silent but living actor is given up after this"
    )
    address: str | None = Field(
        None,
        description="of a running Ray cluster's head, host:port, or auto where this machine is in one; null: a cluster "
        "of this machine alone, for this run alone",
    )

    @property
    def plays_apart(self) -> bool:
        """Whether games are played in processes of their own."""
        return self.kind != "in_process"

    @property
    def plays_elsewhere(self) -> bool:
        """Whether those processes may be on any machine."""
        return self.kind == "ray" and self.address is not None


class ReplayConfig(Section):
    """The memory of experience and what one sample of it means."""

    capacity_env_steps: int = Field(100_000, ge=1, description="transitions kept, all envs together")
    prefill_env_steps: int = Field(
        10_000, ge=1, description="env steps at exploration.epsilon_start before the first gradient step"
    )
    n_step: int = Field(1, ge=1, le=100, description="rewards summed before bootstrapping (1: Mnih 2015)")
    gamma: float = Field(0.99, ge=0, le=1, description="discount of one env step (Mnih 2015)")
    priority_exponent: float = Field(0.0, ge=0, le=2, description="0: uniform; Schaul 2016 uses 0.6")
    importance_exponent: float = Field(0.4, ge=0, le=1, description="correction of the priorities (Schaul 2016)")
    device: Literal["cpu", "pinned", "cuda"] = Field("cpu", description="where the frames are kept")
