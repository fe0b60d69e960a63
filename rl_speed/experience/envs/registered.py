"""Envs of Gymnasium's registry, made by their id."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

import gymnasium
from gymnasium.envs.registration import load_env_creator
from gymnasium.error import DependencyNotInstalled, DeprecatedEnv, UnregisteredEnv

from rl_speed.config import EnvsConfig
from rl_speed.emulator.registration import game_of_id
from rl_speed.system.errors import ConfigError

AnyEnv = gymnasium.Env[Any, Any]


def registered_env(config: EnvsConfig, for_a_film: bool = False) -> AnyEnv:
    """Makes the env that `envs.id` names; a module that stands before its colon is imported first.

    Args:
        config: id, options, and whether the rendered picture is what is observed.
        for_a_film: the env is asked to render, if it can.

    Raises:
        ConfigError: there is no such env, a package is missing, it cannot be made with these options, or it cannot be
            rendered where that is to be observed.
    """
    options = dict(config.options)
    if config.id is None:
        raise ConfigError("envs.backend = gymnasium plays envs.id, which is not set; set it, or choose another backend")
    _import_module(config.id)
    if not (for_a_film or config.render_observation):
        return _make(config, options)
    if "rgb_array" in _render_modes(config, options):
        env = _make(config, {**options, "render_mode": "rgb_array"})
        return _showing_itself(config, env) if config.render_observation else env
    if config.render_observation:
        raise ConfigError(
            f"envs.render_observation = true, but envs.id = {config.id} has no render mode rgb_array; set it to false"
        )
    return _make(config, options)


def _import_module(name: str) -> None:
    """Imports what stands before an id's colon, which Gymnasium would do in the midst of making the env.

    Raises:
        ConfigError: it cannot be imported, or fails while it is.
    """
    module, colon, _ = name.rpartition(":")
    if not colon:
        return
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise _not_imported(name, error) from error
    except Exception as error:  # a mistake in the module
        raise ConfigError(
            f"envs.id = {name}: importing {module} failed ({type(error).__name__}: {_text(error)}); correct that module"
        ) from error


def _render_modes(config: EnvsConfig, options: dict[str, Any]) -> tuple[str, ...]:
    """How an env can be rendered: as its class says, or else one that is made for this question."""
    assert config.id is not None
    try:
        entry = gymnasium.spec(config.id.rpartition(":")[2]).entry_point
        metadata = getattr(load_env_creator(entry) if isinstance(entry, str) else entry, "metadata", None)
    except Exception:  # making it says what is wrong
        metadata = None
    if metadata is None:
        env = _make(config, options)
        metadata = env.metadata
        env.close()
    return tuple(metadata.get("render_modes") or ())


def _make(config: EnvsConfig, options: dict[str, Any]) -> AnyEnv:
    assert config.id is not None
    named = f"envs.id = {config.id}"
    try:
        return gymnasium.make(config.id, **options)
    except UnregisteredEnv:
        raise ConfigError(f"{named} is not registered with Gymnasium; {_near(config.id)}") from None
    except DeprecatedEnv as error:
        raise ConfigError(f"{named} is not to be had ({_text(error)}); set it to the one that is named there") from None
    except DependencyNotInstalled as error:
        raise missing_package(named, error) from None
    except ImportError as error:
        raise _not_imported(config.id, error) from error
    except SyntaxError as error:  # of a module that the env itself is in
        raise ConfigError(f"{named}: its code cannot be read (SyntaxError: {_text(error)}); correct it") from error
    except Exception as error:  # whatever a foreign constructor raises when it is given what it does not take
        given = f"envs.options = {config.options}" if config.options else "no envs.options"
        raise ConfigError(
            f"{named} cannot be made with {given} ({type(error).__name__}: {_text(error)}); set envs.options to "
            f"what this env takes"
        ) from error


def _showing_itself(config: EnvsConfig, env: AnyEnv) -> AnyEnv:
    """The env with its rendered picture as observation."""
    from gymnasium.wrappers import AddRenderObservation

    try:
        return AddRenderObservation(env)
    except DependencyNotInstalled as error:
        env.close()
        raise missing_package(f"envs.id = {config.id}", error) from None
    except Exception as error:  # it starts a game and renders it, with the env's own code
        env.close()
        raise ConfigError(
            f"envs.id = {config.id} cannot be rendered ({type(error).__name__}: {_text(error)}); set "
            f"envs.render_observation to false, or correct its render"
        ) from error


def _not_imported(name: str, error: ImportError) -> ConfigError:
    return ConfigError(
        f"envs.id = {name}: a module cannot be imported ({_text(error)}); install its package, or set PYTHONPATH to "
        f"the folder that it is in"
    )


def missing_package(named: str, error: Exception) -> ConfigError:
    """The sentence for a package that an env wants, with the env's own advice."""
    return ConfigError(f"{named} needs a package that is not installed: {_text(error)}")


def _text(error: BaseException) -> str:
    """What an error says, in a line, without what Gymnasium adds about its call."""
    return " ".join(str(error).split()).partition(" was raised from the environment creator")[0]


def _near(name: str) -> str:
    """Ids that are written alike, or what to do where there are none."""
    module, colon, own_name = name.rpartition(":")
    known = [other for other in gymnasium.registry if game_of_id(other) is None]
    without_version = own_name.rpartition("-")[0]
    near = difflib.get_close_matches(own_name, known, n=3) or difflib.get_close_matches(without_version, known, n=3)
    if near:
        return f"did you mean {' or '.join(f'{module}{colon}{other}' for other in near)}?"
    return "if a module registers it, name that module first: my_package:MyEnv-v0"
