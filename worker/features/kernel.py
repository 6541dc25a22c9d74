"""How the loops over the state are compiled."""

from __future__ import annotations

from numba import njit

#: Compiles a function once, keeps the code on disk, and counts no references: it is
#: given its arrays, makes none, and looks at rows of them dozens of times for each
#: record. Counting these views, each an atomic addition, took half of the time.
kernel = njit(cache=True, _nrt=False)
