"""The manifest of a model bundle: what it holds, and what made it.

Owns the JSON and its strict reading. Knows no directory and no model.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from worker.bundle.table import Table
from worker.errors import BundleRejected

#: The version of the manifest's layout that this module reads and writes.
FORMAT = 1

#: Files that no bundle can do without.
REQUIRED_FILES = ("card.md", "golden.json", "model.joblib", "transform.toml")

#: Libraries whose versions decide whether a model can be loaded.
REQUIRED_LIBRARIES = ("joblib", "numpy", "scikit-learn")

_VERSION = re.compile(r"[0-9a-z][0-9a-z._-]{0,63}")
_FILE_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

_DIGEST = "64 hex digits"
_PUBLISH_AGAIN = "Publish the bundle again with this version of the software."


def is_version(text: str) -> bool:
    """Say whether a text can name a bundle, hence a directory.

    >>> is_version("2018-07-31.1"), is_version("../evil"), is_version("CURRENT")
    (True, False, False)
    """
    return _VERSION.fullmatch(text) is not None


def is_file_name(text: str) -> bool:
    """Say whether a text can name a file of a bundle; a path cannot."""
    return _FILE_NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What a file must be: its size in bytes and its SHA-256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DataWindow:
    """The payments that the model learnt from: first and last event time, counts."""

    first_ms: int
    last_ms: int
    rows: int
    frauds: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says of itself.

    Attributes
    ----------
    model
        The kind of model, for people.
    threshold
        Payments whose published score reaches it are flagged.
    libraries
        Versions of what made the bundle, by distribution name.
    parent
        The version that was in use when this one was made.
    files
        Every file but the manifest and its signature; filled in when the bundle is
        written.
    """

    version: str
    spec: str
    model: str
    state_fingerprint: str
    feature_fingerprint: str
    feature_names: tuple[str, ...]
    threshold: float
    libraries: Mapping[str, str]
    data_window: DataWindow
    metrics: Mapping[str, float]
    parent: str | None = None
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return the manifest as readable JSON: keys sorted, the one way to write it.

        `sha256` is the digest of the same text without that key: a manifest that
        was altered by accident does not pass for another one. Only a signature
        shows what was altered on purpose.
        """
        document = {"format": FORMAT, **dataclasses.asdict(self)}
        document["threshold"] = float(self.threshold)
        document["metrics"] = {name: float(x) for name, x in self.metrics.items()}
        digest = hashlib.sha256(_canonical(document)).hexdigest()
        return _canonical({**document, "sha256": digest})

    @classmethod
    def from_json(cls, raw: bytes) -> Manifest:
        """Read a manifest strictly: unknown keys are as wrong as missing ones.

        Whatever is not byte for byte what `to_json` writes was altered.

        Raises
        ------
        BundleRejected
            With one line for each problem.
        """
        try:
            document = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise BundleRejected(
                f"manifest.json is not JSON ({error.msg}). {_PUBLISH_AGAIN}"
            ) from None
        problems: list[str] = []
        manifest = _manifest(Table(document, "", problems))
        if problems:
            lines = "\n".join(f"  - {problem}" for problem in problems)
            raise BundleRejected(
                f"manifest.json is not usable:\n{lines}\n{_PUBLISH_AGAIN}"
            )
        if manifest.to_json() != raw:
            raise BundleRejected(
                f"manifest.json was altered after it was written. {_PUBLISH_AGAIN}"
            )
        return manifest


def _canonical(document: Mapping[str, object]) -> bytes:
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(document, None, options)


def _manifest(top: Table) -> Manifest:
    if top.integer("format", default=FORMAT) != FORMAT:
        top.problem("format", f"only {FORMAT} is known")
    manifest = Manifest(
        version=top.text("version", is_version, "a version name"),
        spec=top.text("spec"),
        model=top.text("model"),
        state_fingerprint=top.text("state_fingerprint", _is_digest, _DIGEST),
        feature_fingerprint=top.text("feature_fingerprint", _is_digest, _DIGEST),
        feature_names=top.texts("feature_names"),
        threshold=top.number("threshold"),
        libraries=_libraries(top.table("libraries")),
        data_window=_data_window(top.table("data_window")),
        metrics=_metrics(top.table("metrics")),
        parent=top.optional_text("parent", is_version, "a version name or null"),
        files=_files(top.table("files")),
    )
    top.text("sha256", _is_digest, _DIGEST)
    if not 0 <= manifest.threshold <= 1:
        top.problem("threshold", "must lie between 0 and 1")
    top.finish()
    return manifest


def _libraries(table: Table) -> dict[str, str]:
    table.require(REQUIRED_LIBRARIES)
    return {name: table.text(name) for name in table.keys}


def _data_window(table: Table) -> DataWindow:
    window = DataWindow(
        first_ms=table.integer("first_ms"),
        last_ms=table.integer("last_ms"),
        rows=table.integer("rows"),
        frauds=table.integer("frauds"),
    )
    table.finish()
    return window


def _metrics(table: Table) -> dict[str, float]:
    return {name: table.number(name) for name in table.keys}


def _files(table: Table) -> dict[str, FileEntry]:
    table.require(REQUIRED_FILES)
    entries = {}
    for name in table.keys:
        if not is_file_name(name):
            table.problem(name, "is not a plain file name")
        entry = table.table(name)
        entries[name] = FileEntry(
            size=entry.integer("size"), sha256=entry.text("sha256", _is_digest, _DIGEST)
        )
        entry.finish()
    return entries


def _is_digest(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None
