"""Shows where a worker's time goes while it drains a topic: a flame graph.

    make bench-profile
    make bench-profile ARGS="--stages 2"

py-spy samples the worker's main thread from outside, on another core. Written to
build/bench: profile-1.svg (profile-2.svg for two stages), to be opened in a browser,
and profile-1.txt with the same stacks for other viewers. Compiled kernels and calls of
the client show as the Python functions that make them; the client's own threads do not
show, and neither does what waits.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from demo.broker import kafka_available
from tests.benchmarks.cores import reserved
from tests.benchmarks.flame import flame_graph
from tests.benchmarks.output import BUILD, circumstances, say
from tests.benchmarks.stack import fresh_stack
from tests.benchmarks.workload import Workload, bench_spec, make_workload, staged_spec

_PY_SPY = Path(sys.executable).with_name("py-spy")

#: Samples a second.
_RATE = 500

#: It writes its image within seconds once it is told to stop.
_WRITE_SECONDS = 60


def main() -> int:
    """Profile one drain; return the exit code."""
    arguments = _arguments()
    if reason := kafka_available():
        print(reason, file=sys.stderr)
        return 1
    spec = bench_spec() if arguments.stages == 1 else staged_spec()
    BUILD.mkdir(parents=True, exist_ok=True)
    stacks = BUILD / f"profile-{arguments.stages}.txt"
    with tempfile.TemporaryDirectory(prefix="fraud-profile-") as name, reserved(1):
        directory = Path(name)
        say("preparing payments and a model")
        workload = make_workload(directory / "workload", arguments.events, spec=spec)
        _profile(workload, directory / "profile", stacks)
    where = circumstances()
    title = (
        f"A worker that drains a topic, stages: {arguments.stages}; "
        f"commit {where['commit']}, {where['date']}, {where['machine']}"
    )
    image = stacks.with_suffix(".svg")
    image.write_text(flame_graph(stacks.read_text(), title), encoding="utf-8")
    print(image)
    return 0


def _profile(workload: Workload, directory: Path, stacks: Path) -> None:
    with fresh_stack(workload, directory) as stack:
        stack.send(0, workload.count)
        stream = stack.stream()
        process = stream.spawn_worker()
        reader, samplers = stream.reader(), list[subprocess.Popen[bytes]]()
        say("draining")
        try:
            reader.count(
                workload.payments(0, workload.count),
                lambda: samplers.append(_sample(process.pid, stacks)),
            )
        finally:
            for sampler in samplers:
                sampler.send_signal(signal.SIGINT)
                sampler.wait(_WRITE_SECONDS)
        process.stop()
        stream.verify()


def _sample(pid: int, stacks: Path) -> subprocess.Popen[bytes]:
    argv = [str(_PY_SPY), "record", "--pid", str(pid), "--output", str(stacks)]
    argv += ["--rate", str(_RATE), "--duration", "unlimited", "--threads"]
    return subprocess.Popen([*argv, "--function", "--format=raw"], stdout=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-profile ARGS=...", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--stages", type=int, choices=(1, 2), default=1)
    add("--events", type=int, default=1_000_000, help="payments that are drained")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
