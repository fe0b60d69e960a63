"""What a failed validation says: one sentence with the field, its value and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError


def sentence(error: ValidationError, schema: type[BaseModel]) -> str:
    """One sentence for the first problem of a failed validation.

    Args:
        error: what pydantic found.
        schema: what was validated.
    """
    first = error.errors()[0]
    location = _location(schema, first["loc"])
    field = ".".join(location)
    kind, value, context = first["type"], first.get("input"), first.get("ctx", {})
    if kind == "extra_forbidden" and field == "for_game":
        return "for_game belongs into a file; with --set, give the field itself: it holds for the game that is played"
    if kind == "extra_forbidden":
        known = _known_keys(schema, location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {'.'.join([*location[:-1], near[0]])}?" if near else f"known: {', '.join(known)}"
        return f"unknown key {field}; {hint}"
    if kind == "value_error":
        message = str(context.get("error", first["msg"]))
        return f"{field} = {value!r} {message}" if len(location) == 2 else message
    if kind in ("model_type", "model_attributes_type"):
        return f"{field or 'the configuration'} = {value!r} must hold keys and values; write {field}: {{key: value}}"
    if kind == "int_type" and isinstance(value, float) and value.is_integer():
        return f"{field} = {value!r} must be a whole number; write {int(value)}"
    description = _description(schema, location)
    about = f" ({description})" if description else ""
    return f"{field} = {value!r} is not usable: {first['msg'].lower()}{about}; change it in the file or with --set"


def _location(schema: type[BaseModel], reported: Sequence[int | str]) -> list[str]:
    """The names of sections and field alone: pydantic goes on with places inside a value and kinds of a union."""
    section: Any = schema
    location: list[str] = []
    for part in reported:
        fields = getattr(section, "model_fields", None)
        if fields is None or not isinstance(part, str):
            break
        location.append(part)
        section = fields[part].annotation if part in fields else None
    return location


def _known_keys(schema: type[BaseModel], location: Sequence[str]) -> list[str]:
    section: Any = schema
    for part in location:
        section = section.model_fields[part].annotation
    return list(section.model_fields)


def _description(schema: type[BaseModel], location: Sequence[str]) -> str:
    section: Any = schema
    field: Any = None
    for part in location:
        field = getattr(section, "model_fields", {}).get(part)
        if field is None:
            return ""
        section = field.annotation
    return (field.description or "") if field is not None else ""
