"""A bundle's model for other programs: the plain scikit-learn object in a file.

Loading such a file executes it, and nothing in it is verified any more: what reads it
must trust where it comes from.
"""

from __future__ import annotations

import io
import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import joblib

from worker.bundle import read_bundle
from worker.errors import InvalidConfig
from worker.scoring import load_model

ExportFormat = Literal["pickle", "joblib", "joblib-gzip"]

#: gzip's default; higher levels cost seconds and save a few percent.
_GZIP_LEVEL = 6


def export_model(
    models_dir: Path,
    out: Path,
    *,
    file_format: ExportFormat,
    version: str | None = None,
    public_key: Path | None = None,
) -> Path:
    """Write the model of a bundle that was verified and loaded; `out` is replaced.

    Parameters
    ----------
    version
        By default the one in use.

    Raises
    ------
    BundleRejected
        The bundle cannot be used.
    InvalidConfig
        `out` cannot be written.
    """
    bundle = read_bundle(models_dir, version, public_key=public_key)
    encoded = _ENCODERS[file_format](load_model(bundle).scorer.model)
    try:
        _replace(out, encoded)
    except OSError as error:
        problem = f"{out} cannot be written: {error.strerror}"
        raise InvalidConfig([problem], subject="export") from None
    return out


def _pickle(model: Any) -> bytes:
    return pickle.dumps(model, protocol=5)


def _joblib(model: Any) -> bytes:
    return _dump(model, compress=0)


def _joblib_gzip(model: Any) -> bytes:
    return _dump(model, compress=("gzip", _GZIP_LEVEL))


def _dump(model: Any, *, compress: int | tuple[str, int]) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(model, buffer, compress=compress)
    return buffer.getvalue()


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


_ENCODERS: Mapping[ExportFormat, Callable[[Any], bytes]] = {
    "pickle": _pickle,
    "joblib": _joblib,
    "joblib-gzip": _joblib_gzip,
}
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
