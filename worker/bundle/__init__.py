"""A model bundle: its manifest, its digests, its verified bytes.

Decides whether a bundle may be trusted, before anything in it is executed. Knows no
scikit-learn and no feature.
"""

from __future__ import annotations

from worker.bundle.libraries import installed_libraries, library_differences
from worker.bundle.manifest import (
    DataWindow,
    FileEntry,
    Manifest,
    is_file_name,
    is_version,
)
from worker.bundle.reading import (
    CURRENT,
    MANIFEST,
    SIGNATURE,
    VerifiedBundle,
    current_version,
    read_bundle,
    versions,
)
from worker.bundle.writing import set_current, sign_bundle, write_bundle

__all__ = [
    "CURRENT",
    "MANIFEST",
    "SIGNATURE",
    "DataWindow",
    "FileEntry",
    "Manifest",
    "VerifiedBundle",
    "current_version",
    "installed_libraries",
    "is_file_name",
    "is_version",
    "library_differences",
    "read_bundle",
    "set_current",
    "sign_bundle",
    "versions",
    "write_bundle",
]
