"""Where a figure was taken: without it, a number means nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path


def machine() -> str:
    """Return processor, cores, memory and Python."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {python}"


def commit() -> str:
    """Return the commit that is checked out; `+` says that files differ from it."""
    root = Path(__file__).resolve().parent
    try:
        head = _git("rev-parse", "--short=12", "HEAD", cwd=root)
        changed = _git("status", "--porcelain", "--untracked-files=no", cwd=root)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def today() -> str:
    """Return the date."""
    return datetime.now(UTC).date().isoformat()


def _git(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        ["git", *arguments],  # noqa: S607 - whichever git made the clone
        cwd=cwd,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
