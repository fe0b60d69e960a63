"""What the fields of a configuration demand of a game of ale-py; see rules.py."""

from __future__ import annotations

from rl_speed.config.schema import RunConfig
from rl_speed.emulator.games import find_game


def _modes_and_difficulties(game: str) -> tuple[list[int], list[int]]:
    """Those of a game of ale-py. A function of its own, so that no error keeps the console alive."""
    from ale_py import ALEInterface, LoggerMode, roms

    ALEInterface.setLoggerMode(LoggerMode.Error)
    ale = ALEInterface()
    ale.loadROM(str(roms.get_rom_path(game)))
    return list(ale.getAvailableModes()), list(ale.getAvailableDifficulties())


def backend_plays_the_variant(config: RunConfig) -> str | None:
    """ale-py's vector env knows no modes and difficulties but the default ones."""
    envs = config.envs
    if envs.is_default_variant or envs.backend != "ale_vector":
        return None
    return (
        f"envs.mode = {envs.mode} and envs.difficulty = {envs.difficulty}: ale-py's vector env plays the "
        f"default mode at difficulty 0 only; set envs.backend to native or classic"
    )


def game_has_the_variant(config: RunConfig) -> str | None:
    """A mode and a difficulty that the game has."""
    envs = config.envs
    if envs.is_default_variant:
        return None
    modes, difficulties = _modes_and_difficulties(envs.game)
    difficulties = sorted({0, *difficulties})  # 0, as it starts, can be had even where ALE does not list it
    for name, value, known in (("mode", envs.mode, modes), ("difficulty", envs.difficulty, difficulties)):
        if value is not None and value not in known:
            return f"envs.{name} = {value} is not one that {envs.game} has; choose one of {known}"
    return None


def game_has_the_actions(config: RunConfig) -> str | None:
    """Not every game takes FIRE."""
    envs, legal = config.envs, find_game(config.envs.game).legal_actions
    foreign = [] if isinstance(envs.actions, str) else [name for name in envs.actions if name not in legal]
    if not foreign:
        return None
    return f"envs.actions holds {foreign[0]}, which {envs.game} does not have; choose from {', '.join(legal)}"


def rom_can_be_read(config: RunConfig) -> str | None:
    """ale-py's own, or the same in the folder that $ALE_ROMS_DIR names."""
    from ale_py import roms

    try:
        roms.get_rom_path(config.envs.game)
    except OSError as error:
        return (
            f"envs.game = {config.envs.game}: its ROM cannot be read ({error}); install ale-py again, or unset "
            f"ALE_ROMS_DIR"
        )
    return None


def game_lasts_longer_than_a_step(config: RunConfig) -> str | None:
    """Else every env step would be cut off, and nothing but first frames would be seen."""
    envs = config.envs
    if envs.max_episode_frames > envs.frame_skip:
        return None
    return (
        f"envs.max_episode_frames = {envs.max_episode_frames} ends a game within its first env step of "
        f"envs.frame_skip = {envs.frame_skip} frames; raise it to more than that"
    )
