"""Where a peer's code comes from: version and licence of its package."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import Any


@cache  # asked for after every measurement
def package_facts(package: str | None) -> dict[str, str] | None:
    """Version and licence of an installed package, as it states them; None if there is none of that name."""
    if package is None:
        return None
    try:
        facts: Any = metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return None
    classifiers = facts.get_all("Classifier") or []
    licences = [text.rpartition(":: ")[2] for text in classifiers if text.startswith("License ::")]
    licence = facts.get("License-Expression") or ", ".join(licences) or (facts.get("License") or "not stated")[:80]
    return {"package": package, "version": str(facts["Version"]), "licence": licence}
