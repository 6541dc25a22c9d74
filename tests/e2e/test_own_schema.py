"""The tutorial of docs/own-schema.md, run as written."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.broker import KafkaBroker
from tests.conftest import ROOT
from worker.errors import ExitCode

TUTORIAL = (ROOT / "docs" / "own-schema.md").read_text()

#: Commands, each with the lines that it is said to print.
STEPS = re.findall(
    r"```bash\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", TUTORIAL, re.DOTALL
)

SERVE = "fraud-worker run\n"
SECONDS = 180


def environment(kafka: KafkaBroker) -> dict[str, str]:
    """What a reader's shell has; ports that no other test's worker has taken."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith("FRAUD_")}
    programs = Path(sys.executable).parent
    own = {"FRAUD_METRICS_PORT": "0", "FRAUD_HEALTH_PORT": "0"}
    return {**kept, **own, "PATH": f"{programs}:{kept['PATH']}"}


class Reader:
    """Somebody who types the commands into one shell after another."""

    def __init__(self, kafka: KafkaBroker, directory: Path) -> None:
        self._directory = directory
        self._env = environment(kafka)
        self._servers = kafka.bootstrap_servers
        self._exports: list[str] = []

    def run(self, commands: str) -> str:
        """Run a block to its end, and return all that it printed."""
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", self._script(commands)],
            cwd=self._directory,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        return done.stdout

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run the worker in another terminal, and stop it as Ctrl-C's kin would."""
        with (self._directory / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                ["/bin/bash", "-c", self._script(f"exec {SERVE}")],
                cwd=self._directory,
                env=self._env,
                stdout=log,
                stderr=log,
            )
            try:
                yield
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(SECONDS) == ExitCode.OK
            finally:
                worker.kill()
                worker.wait()

    def _script(self, commands: str) -> str:
        """The variables of earlier blocks, and the commands."""
        here = commands.replace("localhost:9092", self._servers)
        before = "\n".join(self._exports)
        self._exports += [line for line in here.splitlines() if line[:7] == "export "]
        return f"{before}\n{here}"


def test_the_tutorial_runs_as_written(kafka: KafkaBroker, tmp_path: Path) -> None:
    """Every command succeeds, and prints what is said that it prints."""
    blocks = [commands for commands, _ in STEPS]
    first = blocks.index(SERVE)
    reader = Reader(kafka, tmp_path)

    for commands, said in STEPS[:first]:
        check(reader.run(commands), said)
    with reader.serving():
        for commands, said in STEPS[first + 1 :]:
            check(reader.run(commands), said)


def check(printed: str, said: str) -> None:
    for line in said.splitlines():
        assert line in printed, f"{line!r} is not in\n{printed}"


def test_the_tutorial_has_all_its_steps() -> None:
    whole = "\n".join(commands for commands, _ in STEPS)
    programs = re.findall(r"^(fraud-\w+ \w+)", whole, re.MULTILINE)

    assert programs == [
        "fraud-train simulate",
        "fraud-train init",
        "fraud-train featurize",
        "fraud-train fit",
        "fraud-train publish",
        "fraud-worker topics",
        "fraud-worker run",
        "fraud-worker verify",
        "fraud-worker replay",
    ]
    assert TUTORIAL.count("```bash") == len(STEPS)
