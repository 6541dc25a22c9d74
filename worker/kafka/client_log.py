"""What the client itself has to say: into our log, and to whoever must act on it."""

from __future__ import annotations

import logging
from collections.abc import Callable

_LOG = logging.getLogger(__name__)


def _nobody(_: str) -> None:
    """Act on nothing."""


class ClientLog:
    """Receives the client's lines, in the place of a logger.

    They become events of ours: what the client repairs by itself is seen when somebody
    looks for it, anything graver is a warning.

    Parameters
    ----------
    on_broken
        Called when a connection broke. It may have broken in the middle of a commit;
        the client repeats the request that was lost with it and reports success, while
        the first copy of it may still arrive. Where it can go on by itself, the client
        tells of that nowhere but in its log.
    """

    def __init__(self, on_broken: Callable[[str], None] = _nobody):
        self._on_broken = on_broken

    def log(self, level: int, _: str, facility: str, client: str, text: str) -> None:
        """Receive a line as the client hands it over."""
        if facility == "FAIL":
            self._on_broken("broken_connection")
        grave = logging.WARNING if level >= logging.WARNING else logging.DEBUG
        facts = {"client": client, "detail": text}
        _LOG.log(grave, f"client_{facility.lower()}", extra=facts)
