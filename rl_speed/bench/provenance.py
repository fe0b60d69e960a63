"""Where measured code comes from: the commit of this project, version and licence of a peer's package."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any


def commit() -> str | None:
    """The source's commit, with a mark if files differ from it; None outside a checkout."""
    folder = str(Path(__file__).parent)
    with suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run(
            ["git", "-C", folder, "describe", "--always", "--abbrev=9", "--dirty", "--exclude=*"],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
        return answer.stdout.strip() or None
    return None


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
