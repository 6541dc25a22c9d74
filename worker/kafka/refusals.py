"""How long the broker has refused to let a member read: rights come, or they do not."""

from __future__ import annotations

import time
from collections.abc import Sequence

from worker.errors import BrokerFailed


class Refusals:
    """Remembers since when nothing but refusals came.

    Attributes
    ----------
    since
        When the first of them came, monotonic seconds; None without any.
    patience_seconds
        How long it may go on.
    """

    def __init__(self, topics: Sequence[str]):
        self._topics = list(topics)
        self.since: float | None = None
        self.patience_seconds = 30.0

    def note(self) -> None:
        """Note one more."""
        self.since = self.since or time.monotonic()

    def forget(self) -> None:
        """Note that something was read."""
        self.since = None

    def check(self) -> None:
        """Raises BrokerFailed once patience has ended."""
        since = self.since
        if since is not None and time.monotonic() - since > self.patience_seconds:
            raise BrokerFailed(
                f"the broker has refused to let this worker read {self._topics} for "
                f"{self.patience_seconds:g} s; check its rights on topics and group"
            )
