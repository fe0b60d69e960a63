"""Reads presets and files, lays overrides over them, and validates the whole."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from rl_speed.config.messages import sentence
from rl_speed.config.rules import check_rules
from rl_speed.config.schema import RunConfig
from rl_speed.system.errors import ConfigError

Overrides = Mapping[str, Any] | Sequence[str | Mapping[str, Any]]


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


def _read_yaml(source: str, beside: Path = Path(), extended_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Reads a preset by name or a file by path, with the chain of files that it extends underneath."""
    path = _find(source, beside)
    if path is None:
        near = difflib.get_close_matches(source, preset_names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"use a file's path or one of {', '.join(preset_names())}"
        raise ConfigError(f"config {source!r} is neither a preset nor a file; {hint}")
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
    if parent is None:
        return content
    chain = (path.resolve(), *extended_by)
    base = _find(parent, path.parent) if isinstance(parent, str) else None
    if not isinstance(parent, str) or (base is not None and base.resolve() in chain):
        raise ConfigError(
            f"config {source!r}: extends = {parent!r} must name another preset or file, and not one that extends this"
        )
    return merge(_read_yaml(parent, path.parent, chain), content)


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


def load_config(source: str, overrides: Overrides = ()) -> RunConfig:
    """Reads a preset or file and applies overrides.

    Args:
        source: name of a preset, or path of a YAML file (which may start with `extends: NAME`).
        overrides: see `as_changes`.

    Raises:
        ConfigError: with one sentence that names the field, the value and the fix.
    """
    content = _read_yaml(source)
    for change in as_changes(overrides):
        content = merge(content, change)
    return validate(content)


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


def validate(content: Mapping[str, Any]) -> RunConfig:
    """Builds a RunConfig from nested dictionaries; raises ConfigError with one sentence."""
    try:
        config = RunConfig.model_validate(dict(content))
    except ValidationError as error:
        raise ConfigError(sentence(error, RunConfig)) from None
    check_rules(config)
    return config
