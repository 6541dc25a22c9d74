"""Versions of the libraries that a model was made with, against those installed.

Reads package metadata only: nothing that could load a model is imported.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata

from worker.bundle.manifest import REQUIRED_LIBRARIES

#: How many parts of the version must agree. scikit-learn promises nothing about its
#: pickles between minor versions; the others keep theirs within a major one.
_AGREEING_PARTS = {"scikit-learn": 2, "numpy": 1, "joblib": 1}


def installed_libraries() -> dict[str, str]:
    """Return the versions of what a model depends on, here and now."""
    versions = {name: metadata.version(name) for name in REQUIRED_LIBRARIES}
    return {"python": platform.python_version(), **versions}


def library_differences(required: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return what forbids loading, and what merely differs, one sentence each."""
    fatal: list[str] = []
    harmless: list[str] = []
    for name, version in sorted(required.items()):
        found = _installed(name)
        if found == version:
            continue
        sentence = f"{name} {version} made the bundle, {found or 'none'} is installed"
        forbids = found is None or not _agree(name, version, found)
        (fatal if forbids else harmless).append(sentence)
    return fatal, harmless


def _installed(name: str) -> str | None:
    if name == "python":
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _agree(name: str, version: str, found: str) -> bool:
    parts = _AGREEING_PARTS.get(name, 0)
    return version.split(".")[:parts] == found.split(".")[:parts]
