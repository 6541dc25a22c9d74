"""Reads a bundle and trusts nothing in it: what is returned are the verified bytes.

Owns the order of the checks up to, and not including, deserialisation. Every file is
read once, so what was verified is what will be loaded.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from worker.bundle import signature
from worker.bundle.libraries import library_differences
from worker.bundle.manifest import Manifest, is_version
from worker.errors import BundleRejected

#: Names the version in use; a text file beside the bundles.
CURRENT = "CURRENT"

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"

#: Bytes of a manifest and of CURRENT that are read at most; ours have a few thousand.
MAX_MANIFEST_BYTES = 1 << 20
MAX_CURRENT_BYTES = 256

#: Bytes of all files together; a model beyond it is not meant for a stream.
MAX_BUNDLE_BYTES = 1 << 30

_FETCH_AGAIN = "Fetch the bundle again from where it was published, or roll back."
_SAME_LIBRARIES = "Install these versions, or train and publish with those here."


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A bundle whose bytes are what its manifest says.

    Attributes
    ----------
    digest
        Hex sha256 of the manifest, which stands for the whole bundle.
    files
        Name to content, without the manifest and its signature.
    is_signed
        A public key was configured, and the signature is right.
    differences
        Library versions that differ without harm, one sentence each.
    """

    version: str
    manifest: Manifest
    digest: str
    files: Mapping[str, bytes]
    is_signed: bool
    differences: tuple[str, ...]


def current_version(models_dir: Path) -> str:
    """Return the version that CURRENT names.

    Raises
    ------
    BundleRejected
        There is no CURRENT, or it holds no version name.
    """
    path = models_dir / CURRENT
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CURRENT_BYTES + 1)
    except OSError as error:
        raise BundleRejected(
            f"{path} cannot be read ({error.strerror}): no model is in use. "
            "Publish one with `fraud-train publish`, or set FRAUD_MODELS_DIR."
        ) from None
    version = raw.decode("ascii", "replace").strip()
    if not is_version(version):
        raise BundleRejected(
            f"{path} does not hold the name of a version. "
            "Write it anew with `fraud-train publish`."
        )
    return version


def read_bundle(
    models_dir: Path, version: str | None = None, *, public_key: Path | None = None
) -> VerifiedBundle:
    """Read and verify a bundle without deserialising any model.

    1. the directory holds plain files only: no link, no directory
    2. the manifest can be read and names this version
    3. the files are those of the manifest: none missing, none more
    4. size and SHA-256 of each
    5. the signature, if a public key is configured
    6. the versions of the libraries

    Parameters
    ----------
    version
        By default the one that CURRENT names.
    public_key
        PEM file; with it, an unsigned bundle is rejected.

    Raises
    ------
    BundleRejected
        At the first of these steps that fails, with all that is wrong in that step.
    InvalidConfig
        The public key is unusable.
    """
    if version is None:
        version = current_version(models_dir)
    try:
        return _read(models_dir, version, public_key)
    except BundleRejected as rejected:
        raise BundleRejected(
            f"bundle {version} in {models_dir} is rejected: {rejected}"
        ) from None


def _read(models_dir: Path, version: str, public_key: Path | None) -> VerifiedBundle:
    with _opened(models_dir, version) as directory:
        names = _plain_files(directory)
        raw = _read_file(directory, MANIFEST, MAX_MANIFEST_BYTES)
        manifest = _read_manifest(raw, version)
        _check_names(names, manifest)
        files = _read_files(directory, manifest)
        if public_key is not None:
            signed = _read_signature(directory, names)
            signature.verify(raw, signed, public_key)
    fatal, harmless = library_differences(manifest.libraries)
    if fatal:
        raise _rejected([*fatal, *harmless], _SAME_LIBRARIES)
    return VerifiedBundle(
        version=version,
        manifest=manifest,
        digest=hashlib.sha256(raw).hexdigest(),
        files=files,
        is_signed=public_key is not None,
        differences=tuple(harmless),
    )


@contextmanager
def _opened(models_dir: Path, version: str) -> Iterator[int]:
    """Open the bundle's directory; nothing can be put in its place meanwhile."""
    if not is_version(version):
        raise BundleRejected(
            "this cannot name a version: a lower-case letter or digit comes first, "
            "then at most 63 of these, dots, dashes and underscores"
        )
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        directory = os.open(models_dir / version, flags)
    except OSError as error:
        raise BundleRejected(_why_not_opened(models_dir, error)) from None
    try:
        yield directory
    finally:
        os.close(directory)


def _why_not_opened(models_dir: Path, error: OSError) -> str:
    if error.errno in {errno.ENOTDIR, errno.ELOOP}:
        return f"it is a link or a file, and must be a directory. {_FETCH_AGAIN}"
    if error.errno == errno.ENOENT:
        found = ", ".join(versions(models_dir)) or "none"
        return f"it does not exist; versions here: {found}. {_FETCH_AGAIN}"
    return f"it cannot be opened ({error.strerror}). {_FETCH_AGAIN}"


def versions(models_dir: Path) -> list[str]:
    """Return the names of all bundles in a directory, sorted, unverified."""
    if not models_dir.is_dir():
        return []
    return sorted(
        entry.name
        for entry in os.scandir(models_dir)
        if is_version(entry.name) and entry.is_dir(follow_symlinks=False)
    )


def _plain_files(directory: int) -> set[str]:
    with os.scandir(directory) as entries:
        kinds = {e.name: e.stat(follow_symlinks=False).st_mode for e in entries}
    problems = [
        f"{name} is no plain file (no links, no directories)"
        for name, mode in sorted(kinds.items())
        if not stat.S_ISREG(mode)
    ]
    if problems:
        raise _rejected(problems, "Remove it, if you know how it came there.")
    return set(kinds)


def _read_manifest(raw: bytes, version: str) -> Manifest:
    manifest = Manifest.from_json(raw)
    if manifest.version != version:
        problem = f"{MANIFEST} is that of version {manifest.version}"
        raise _rejected([problem], "A bundle cannot be renamed: restore its name.")
    if sum(entry.size for entry in manifest.files.values()) > MAX_BUNDLE_BYTES:
        problem = f"its files exceed {MAX_BUNDLE_BYTES} bytes together"
        raise _rejected([problem], "Train a smaller model.")
    return manifest


def _check_names(names: set[str], manifest: Manifest) -> None:
    present = names - {MANIFEST, SIGNATURE}
    listed = set(manifest.files)
    problems = [f"{name} is missing" for name in sorted(listed - present)]
    problems += [f"{name} is not in {MANIFEST}" for name in sorted(present - listed)]
    if problems:
        raise _rejected(problems, _FETCH_AGAIN)


def _read_files(directory: int, manifest: Manifest) -> dict[str, bytes]:
    files, problems = {}, []
    for name, entry in sorted(manifest.files.items()):
        files[name] = _read_file(directory, name, entry.size)
        if hashlib.sha256(files[name]).hexdigest() != entry.sha256:
            problems.append(f"{name} is not the file that was published (sha256)")
    if problems:
        raise _rejected(problems, _FETCH_AGAIN)
    return files


def _read_signature(directory: int, names: set[str]) -> bytes | None:
    if SIGNATURE not in names:
        return None
    return _read_file(directory, SIGNATURE, signature.SIGNATURE_BYTES)


def _read_file(directory: int, name: str, max_bytes: int) -> bytes:
    """Read a plain file of at most that many bytes, and one more if it is longer.

    The one byte more changes the digest, so a file that has grown is never taken for
    the one that was published.
    """
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        with os.fdopen(os.open(name, flags, dir_fd=directory), "rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        problem = f"{name} cannot be read ({error.strerror})"
        raise _rejected([problem], _FETCH_AGAIN) from None


def _rejected(problems: Sequence[str], remedy: str) -> BundleRejected:
    lines = "\n".join(f"  - {problem}" for problem in problems)
    return BundleRejected(f"\n{lines}\n{remedy}")
