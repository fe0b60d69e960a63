"""Reads presets and files, lays overrides over them, and validates the whole.

What a file sets for one game alone stands under `for_game: {pong: ...}` and is laid over that file only where that game
is played: a preset that was made for Pong does not force Pong's crop, actions or annealing on another game.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from rl_speed.config.messages import sentence
from rl_speed.config.playing import atari_game
from rl_speed.config.rules import check_rules
from rl_speed.config.schema import RunConfig
from rl_speed.system.errors import ConfigError

Overrides = Mapping[str, Any] | Sequence[str | Mapping[str, Any]]


class _Layer(NamedTuple):
    """One file, or one change: what it sets for every game, and for single ones."""

    general: dict[str, Any]
    by_game: dict[str, dict[str, Any]]


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 1e-4 as text; people mean the number."""


def _unique_keys(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    """A mapping in which no key stands twice: the first of two would be lost without a word."""
    content: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.YAMLError(f"key {key!r} is not a text")
        if key in content:
            raise yaml.YAMLError(f"key {key!r} stands twice")
        content[key] = loader.construct_object(value_node, deep=True)
    return content


_Loader.add_constructor("tag:yaml.org,2002:map", _unique_keys)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def configs_directory() -> Path:
    """The folder of the presets: inside an installed package, or beside it in a source checkout."""
    package = Path(__file__).parent.parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def preset_names() -> list[str]:
    """Names of the presets, sorted."""
    return sorted(path.stem for path in configs_directory().glob("*.yaml"))


def _find(source: str, beside: Path) -> Path | None:
    """A preset by name, or a file by path, which may be relative to a folder."""
    by_name = configs_directory() / f"{source}.yaml"
    try:
        path = by_name if by_name.is_file() else beside / Path(source).expanduser()
        return path if path.is_file() else None
    except (OSError, ValueError, RuntimeError):  # longer than a path can be, with a null byte, or of nobody's home
        return None


def _read_layers(source: str, beside: Path = Path(), extended_by: tuple[Path, ...] = ()) -> list[_Layer]:
    """Reads a preset by name or a file by path; the files that it extends come before it."""
    path = _find(source, beside)
    if path is None:
        near = difflib.get_close_matches(source, preset_names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"use a file's path or one of {', '.join(preset_names())}"
        whose = f", which {extended_by[0]} extends," if extended_by else ""
        raise ConfigError(f"config {source!r}{whose} is neither a preset nor a file; {hint}")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {source!r} cannot be read ({error}); check the file and its rights") from None
    except (yaml.YAMLError, ValueError) as error:
        where = " ".join(str(error).split())
        raise ConfigError(f"config {source!r} is not valid YAML: {where}") from None
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise ConfigError(f"config {source!r} must hold keys and values, not a {type(content).__name__}")
    parent = content.pop("extends", None)
    layer = _Layer(content, _settings_by_game(content.pop("for_game", {}), source))
    if parent is None:
        return [layer]
    chain = (path.resolve(), *extended_by)
    base = _find(parent, path.parent) if isinstance(parent, str) else None
    if not isinstance(parent, str) or (base is not None and base.resolve() in chain):
        raise ConfigError(
            f"config {source!r}: extends = {parent!r} must name another preset or file, and not one that extends this"
        )
    return [*_read_layers(parent, path.parent, chain), layer]


def _settings_by_game(by_game: Any, source: str) -> dict[str, dict[str, Any]]:
    """The settings of a file for single games: those of games that are not played are checked, too."""
    where = f"config {source!r}: for_game"
    if not isinstance(by_game, dict) or not all(isinstance(settings, dict) for settings in by_game.values()):
        raise ConfigError(f"{where} = {by_game!r} must hold settings by game; write for_game: {{pong: {{envs: ...}}}}")
    for game, settings in by_game.items():
        try:
            RunConfig.model_validate({"envs": {"game": game}})
            is_other = "game" in RunConfig.model_validate(settings).envs.model_fields_set
        except ValidationError as error:
            raise ConfigError(f"{where}.{game}: {sentence(error, RunConfig)}") from None
        if is_other:
            raise ConfigError(f"{where}.{game} sets envs.game; leave that out: it is {game}")
    return by_game


def _lay(layers: Sequence[_Layer], game: str | None) -> dict[str, Any]:
    """The layers as one; of what they set for single games, that of `game` (None: of none)."""
    content: dict[str, Any] = {}
    for layer in layers:
        content = merge(merge(content, layer.general), layer.by_game.get(game or "", {}))
    return content


def _game(layers: Sequence[_Layer]) -> str | None:
    return atari_game(_lay(layers, None))


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Lays `change` over `base`, section by section; neither argument is altered."""
    merged = dict(base)
    for key, value in change.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def parse_override(text: str) -> dict[str, Any]:
    """Turns 'section.field=value' into a nested dictionary; the value is read as YAML."""
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r} must look like section.field=value, e.g. envs.count=3")
    try:
        value = yaml.load(raw, _Loader)
    except (yaml.YAMLError, ValueError):
        raise ConfigError(f"--set {text!r}: the value {raw!r} is not valid YAML") from None
    return _nested(key, value)


def load_config(source: str, overrides: Overrides = (), own_env: bool = False) -> RunConfig:
    """Reads a preset or file and applies overrides.

    Args:
        source: name of a preset, or path of a YAML file (which may start with `extends: NAME`).
        overrides: see `as_changes`.
        own_env: an env of the caller's is played. As with `envs.id`, what is set for single games is left out then, the
            goal included.

    Raises:
        ConfigError: with one sentence that names the field, the value and the fix.
    """
    layers = _layers(source, overrides, own_env)
    config = validate(_lay(layers, _game(layers)))
    if own_env and config.envs.id is not None:
        raise ConfigError(f"env= and envs.id = {config.envs.id!r} exclude each other; leave one of them out")
    return config


def _layers(source: str, overrides: Overrides, own_env: bool) -> list[_Layer]:
    last = [{"envs": {"backend": "gymnasium"}}] if own_env else []
    return [*_read_layers(source), *(_Layer(change, {}) for change in [*as_changes(overrides), *last])]


def asked_game(overrides: Overrides) -> str | None:
    """The game, or the env of Gymnasium's registry, that overrides name; None: none."""
    envs = _lay([_Layer(change, {}) for change in as_changes(overrides)], None).get("envs")
    name = (envs.get("id") or envs.get("game")) if isinstance(envs, dict) else None
    return None if name is None else str(name)


def games_made_for(source: str) -> set[str]:
    """Games for which a preset or file, or what it extends, has settings of their own."""
    return {game for layer in _read_layers(source) for game in layer.by_game}


def game_remarks(source: str, overrides: Overrides = (), own_env: bool = False) -> list[str]:
    """What a user has to know who plays another game than the preset was made for: no sentence, one or two.

    Args:
        source, overrides, own_env: as for `load_config`, which takes them.
    """
    layers = _layers(source, overrides, own_env)
    game, config = _game(layers), load_config(source, overrides, own_env)
    name = game or config.envs.id or "an env of your own"
    made_for = sorted({other for layer in layers for other in layer.by_game} - {game})
    left_out = sorted({field for other in made_for for field in _left_out(layers, config, game, other)})
    remarks = []
    if left_out:
        remarks.append(
            f"config {source} sets for {' and '.join(made_for)} alone what does not hold for {name}: "
            f"{', '.join(left_out)}"
        )
    if config.stop.reward is None:
        limits = ("max_env_steps", "max_gradient_steps", "max_seconds")
        ends = [f"stop.{limit}" for limit in limits if getattr(config.stop, limit) is not None]
        remarks.append(
            f"stop.reward = null: {name} is played without a goal until {' or '.join(ends) or 'Ctrl-C'}; set it to the "
            f"mean return at which the run is to end"
        )
    return remarks


def _left_out(layers: Sequence[_Layer], config: RunConfig, game: str | None, other: str) -> Iterator[str]:
    """Fields that are set for the other game but not for this one, and are something else in its configuration."""
    try:
        there = RunConfig.model_validate(_lay(layers, other))
    except ValidationError as error:
        raise ConfigError(f"for_game.{other} does not fit what it is laid over: {sentence(error, RunConfig)}") from None
    own = set(_fields(layers, game))
    for field in _fields(layers, other):
        value = attrgetter(field)
        if field not in own and value(there) != value(config):
            yield field


def _fields(layers: Sequence[_Layer], game: str | None) -> Iterator[str]:
    """The names of all that is set for a game alone, as `section.field`."""
    for layer in layers:
        for name, value in layer.by_game.get(game or "", {}).items():
            yield from (f"{name}.{field}" for field in value) if isinstance(value, dict) else (name,)


def as_changes(overrides: Overrides) -> list[dict[str, Any]]:
    """Overrides as nested dictionaries, to be laid over a configuration in order.

    Args:
        overrides: values by `section.field`; or a list of these and of texts `section.field=value`.
    """
    changes = []
    for override in [overrides] if isinstance(overrides, Mapping) else overrides:
        if isinstance(override, str):
            changes.append(parse_override(override))
        else:
            changes += [_nested(key, value) for key, value in override.items()]
    return changes


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.strip().split(".")):
        value = {part: value}
    return dict(value)


def validate(content: Mapping[str, Any], is_new: bool = True) -> RunConfig:
    """Builds a RunConfig from nested dictionaries; raises ConfigError with one sentence.

    Args:
        content: sections by name.
        is_new: see `rules.check_rules`.
    """
    try:
        config = RunConfig.model_validate(dict(content))
    except ValidationError as error:
        raise ConfigError(sentence(error, RunConfig)) from None
    check_rules(config, is_new)
    return config
