"""Apache Kafka's jars: where they lie, and how Maven brings them there once.

Knows nothing of a running broker.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from demo import child

#: The oldest Java that Kafka 4 runs on.
MINIMUM_JAVA = 17

#: A slow line needs minutes for 34 MB; a dead one must not hang a build.
_FETCH_SECONDS = 600.0

_POM = Path(__file__).with_name("pom.xml")


class BrokerError(Exception):
    """The development broker cannot be had, started or used; says what to do."""


@dataclass(frozen=True, slots=True)
class KafkaJars:
    """What it takes to start a broker.

    `archive` is where the JVM's own copy of the loaded classes lies, if it was made:
    with it a start takes half the time.
    """

    java: str
    jars: tuple[Path, ...]
    archive: Path

    @property
    def class_path(self) -> str:
        """Always in the same order, or the archive would not fit."""
        return os.pathsep.join(map(str, self.jars))


def kafka_available() -> str | None:
    """Return what keeps a broker from being started here, or None if nothing does."""
    java = _find_java()
    if java is None:
        return (
            "Java is missing; install a runtime of version "
            f"{MINIMUM_JAVA} or later (Debian: apt-get install default-jre-headless)"
        )
    version = _java_version(java)
    if version < MINIMUM_JAVA:
        return f"{java} is version {version}; Kafka 4 needs {MINIMUM_JAVA} or later"
    if not _jars_in(_directory()) and shutil.which("mvn") is None:
        return (
            "Maven is missing, which fetches Apache Kafka (Debian: apt-get install "
            "maven); or let FRAUD_KAFKA_JARS name a directory with its jars"
        )
    return None


def kafka_jars() -> KafkaJars:
    """Return the jars, fetched now if they are not there yet.

    Raises
    ------
    BrokerError
        Java or Maven is missing, or Maven cannot reach its repository.
    """
    if reason := kafka_available():
        raise BrokerError(reason)
    directory = _directory()
    if not _jars_in(directory):
        with exclusively(directory):
            if not _jars_in(directory):
                _fetch(directory)
    java = _find_java() or "java"
    jars = _jars_in(directory)
    return KafkaJars(java, jars, directory / f"classes-{_fit(java, jars)}.jsa")


@contextmanager
def exclusively(directory: Path) -> Iterator[None]:
    """Let one process at a time change this directory."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(sentence: str) -> None:
    """Tell the person who waits; results have standard output for themselves."""
    print(sentence, file=sys.stderr, flush=True)


def _directory() -> Path:
    """Return where the jars belong; another pom.xml gets another directory."""
    if chosen := os.environ.get("FRAUD_KAFKA_JARS"):
        return Path(chosen).resolve()
    root = _POM.parent.parent
    if not (root / "pyproject.toml").exists():
        root = Path.home() / ".cache" / "fraud-worker"
    return root / ".kafka" / hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]


def _jars_in(directory: Path) -> tuple[Path, ...]:
    return tuple(sorted(directory.glob("*.jar")))


def _find_java() -> str | None:
    home = os.environ.get("JAVA_HOME")
    return (home and shutil.which(f"{home}/bin/java")) or shutil.which("java")


@lru_cache
def _java_version(java: str) -> int:
    done = subprocess.run(
        [java, "-version"], capture_output=True, text=True, check=False
    )
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else 0


def _fit(java: str, jars: tuple[Path, ...]) -> str:
    """Name the one JVM and class path that an archive of classes fits."""
    binary = Path(java).resolve()
    parts = [str(binary), str(binary.stat().st_mtime_ns), *map(str, jars)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _fetch(directory: Path) -> None:
    """Let Maven copy the jars next to the directory, then put them in its place."""
    say("Fetching Apache Kafka for the development broker (34 MB, once) ...")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
        jars, log = Path(scratch, "jars"), Path(scratch, "maven.log")
        goal = "dependency:copy-dependencies"
        options = ["-B", "-q", f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
        with log.open("wb") as output:
            argv = ["mvn", "-f", str(_POM), goal, *options]
            maven = child.spawn(argv, output=output, errors=output)
        try:
            code = maven.wait(_FETCH_SECONDS)
        except subprocess.TimeoutExpired:
            code = child.stop(maven)
        if code != 0 or not _jars_in(jars):
            message = f"Maven could not fetch Apache Kafka (exit code {code}):\n"
            raise BrokerError(message + tail(log))
        jars.rename(directory)
    say(f"Fetched Apache Kafka in {time.monotonic() - started:.0f} s.")


def tail(log: Path, *, max_lines: int = 15) -> str:
    """Return the last lines of a log, indented, with its name above."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n  ".join([f"the end of {log}:", *lines[-max_lines:]])
