"""What proves to the broker that a member of the group is still one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer

from worker.errors import CommitAborted


class Membership:
    """Remembers the proof until it may have changed.

    To ask for it takes three turns of the client's own thread, half a millisecond of
    each commit where they share a core. The broker checks the proof with every commit:
    one that has become old is refused there, and asked for anew (KIP-447).

    Parameters
    ----------
    ask
        Returns the client's group metadata; raises CommitAborted while there is none.
    """

    def __init__(self, ask: Callable[[], Any]):
        self._ask = ask
        self._proof: Any = None

    def proof(self) -> Any:
        """Return what goes with a commit; raises CommitAborted."""
        if self._proof is None:
            self._proof = self._ask()
        return self._proof

    def forget(self) -> None:
        """Ask anew next time: the group has changed, or a commit was refused."""
        self._proof = None


def metadata_of_member(vendor: Consumer) -> Any:
    """Return what names a member to the broker.

    Raises
    ------
    CommitAborted
        It is none at the moment. The metadata then names nobody, and the broker would
        take a commit with them from anybody.
    """
    before = vendor.memberid()
    metadata = vendor.consumer_group_metadata()
    if not before or before != vendor.memberid():
        raise CommitAborted("not a member of the group at the moment")
    return metadata
