"""Which payments are published unflagged, whatever their score, to learn from them.

Where every flagged payment is stopped, nobody finds out what would have become of it,
and the next model learns from labels that this one has made. A share of them is let
through; the same ones on every worker, in every replay, and after every restart.

Pure. A payment belongs to the group by its id alone, and to every larger group too.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

#: Never changes: with another salt other payments would belong to the group.
_SALT = b"control-group-1"

_DIGEST_BYTES = 8

#: One more than the largest digest.
_DIGESTS = float(2 ** (8 * _DIGEST_BYTES))


def is_member(transaction_id: str, share: float) -> bool:
    """Whether a payment belongs to the group of that share.

    >>> [is_member(str(number), 0.25) for number in range(6)]
    [False, True, True, False, False, True]
    >>> is_member("any", 0.0), is_member("any", 1.0)
    (False, True)
    """
    digest = blake2b(
        transaction_id.encode("utf-8", "surrogatepass"),
        digest_size=_DIGEST_BYTES,
        salt=_SALT,
    ).digest()
    # Of a share between 0 and 1 the product is exact, and an integer compares exactly.
    return int.from_bytes(digest, "big") < share * _DIGESTS


def members(transaction_ids: Iterable[str], share: float) -> NDArray[np.bool_]:
    """Return (n,) whether each payment belongs to the group of that share."""
    return np.fromiter((is_member(text, share) for text in transaction_ids), np.bool_)
