"""Writes bundles, and says which one is in use: all of it or nothing.

Whatever is interrupted leaves a directory whose name starts with a dot, which nobody
reads and anybody may delete.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from worker.bundle import signature
from worker.bundle.manifest import FileEntry, Manifest, is_file_name, is_version
from worker.bundle.reading import CURRENT, MANIFEST, SIGNATURE
from worker.errors import InvalidConfig

#: A worker runs as another user than the one who trains, and must be able to read.
_DIRECTORY_MODE, _FILE_MODE = 0o755, 0o644


def write_bundle(
    models_dir: Path,
    manifest: Manifest,
    files: Mapping[str, bytes],
    *,
    private_key: Path | None = None,
) -> Path:
    """Write a new bundle; it appears complete, or not at all.

    Parameters
    ----------
    manifest
        Its `version` names the bundle; its `files` are filled in here.
    private_key
        PEM file; with it, the bundle is signed.

    Returns
    -------
    Path
        The bundle's directory.

    Raises
    ------
    InvalidConfig
        The version exists already or cannot be a name, the key is unusable, or the
        disk is full or protected.
    """
    target = _free_target(models_dir, manifest.version)
    content = _with_manifest(manifest, files)
    if private_key is not None:
        content[SIGNATURE] = signature.sign(content[MANIFEST], private_key)
    try:
        _write_directory(target, content)
    except OSError as error:
        if os.path.lexists(target):  # another publisher was faster
            raise _taken(target) from None
        raise _unwritable(target, error) from None
    return target


def sign_bundle(models_dir: Path, version: str, private_key: Path) -> None:
    """Sign a bundle that exists, or sign it anew with another key.

    Raises
    ------
    InvalidConfig
        There is no such bundle, or the key is unusable.
    """
    directory = _existing(models_dir, version)
    signed = signature.sign((directory / MANIFEST).read_bytes(), private_key)
    _replace(directory / SIGNATURE, signed)


def set_current(models_dir: Path, version: str) -> None:
    """Make a version the one in use, atomically; whether it is good is not looked at.

    Raises
    ------
    InvalidConfig
        There is no such bundle.
    """
    _existing(models_dir, version)
    _replace(models_dir / CURRENT, f"{version}\n".encode())


def _free_target(models_dir: Path, version: str) -> Path:
    if not is_version(version):
        problem = f"{version!r} cannot name a version; 2018-07-31.1 could"
        raise InvalidConfig([problem], subject="bundle")
    target = models_dir / version
    if os.path.lexists(target):
        raise _taken(target)
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(models_dir, error) from None
    return target


def _existing(models_dir: Path, version: str) -> Path:
    directory = models_dir / version
    if not is_version(version) or not (directory / MANIFEST).is_file():
        problem = f"there is no version {version!r} in {models_dir}"
        raise InvalidConfig([problem], subject="bundle")
    return directory


def _with_manifest(manifest: Manifest, files: Mapping[str, bytes]) -> dict[str, bytes]:
    assert all(is_file_name(name) for name in files)
    assert not {MANIFEST, SIGNATURE}.intersection(files)
    entries = {
        name: FileEntry(size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in files.items()
    }
    raw = dataclasses.replace(manifest, files=entries).to_json()
    Manifest.from_json(raw)  # what cannot be read must not be written
    return {**files, MANIFEST: raw}


def _write_directory(target: Path, content: Mapping[str, bytes]) -> None:
    """Write under a name that nobody reads, and give it the right one at the end."""
    incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=target.parent))
    try:
        for name, data in content.items():
            _write_durably(incoming / name, data)
        incoming.chmod(_DIRECTORY_MODE)
        _sync_directory(incoming)
        incoming.rename(target)
    except BaseException:
        shutil.rmtree(incoming, ignore_errors=True)
        raise
    _sync_directory(target.parent)


def _unwritable(path: Path, error: OSError) -> InvalidConfig:
    problem = f"{path} cannot be written: {error.strerror}"
    return InvalidConfig([problem], subject="bundle")


def _taken(target: Path) -> InvalidConfig:
    problem = f"{target} exists, and a bundle never changes: choose another version"
    return InvalidConfig([problem], subject="bundle")


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(_FILE_MODE)


def _replace(path: Path, data: bytes) -> None:
    try:
        _replace_durably(path, data)
    except OSError as error:
        raise _unwritable(path, error) from None


def _replace_durably(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    incoming = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        incoming.chmod(_FILE_MODE)
        incoming.replace(path)
    except BaseException:
        incoming.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
