"""The card of a model: what it learnt from, how good it is, what it looks at.

Owns the words. Says nothing that the manifest and the spec do not know.
"""

from __future__ import annotations

from worker.bundle import Manifest
from worker.codec import format_times
from worker.features import Spec
