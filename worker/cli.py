"""The command line: finds the command, reads the settings, turns errors into codes.

Parses and dispatches, nothing else. A command is a module of worker.commands; it is
imported only when it runs, so that help comes at once.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Literal

from worker import __version__, logs
from worker.config import Settings, add_flags, overrides_of
from worker.errors import ExitCode, Fatal

#: Every command that there is or will be, in the order of the help; those without a
#: module are not offered.
COMMANDS = (
    *("run", "check", "topics", "score", "verify"),
    *("replay", "redrive", "inspect", "watch", "truth"),
)

#: Commands that run until they are stopped: their log is for machines, unless a person
#: looks at it. The others speak to whoever typed them.
SERVICES = ("run", "truth")

#: What a shell reports of a process that Ctrl-C ended.
INTERRUPTED = 130

EXIT_MEANINGS = {
    ExitCode.OK: "all is well",
    ExitCode.CRASHED: "unexpected error, or findings of verify and check",
    ExitCode.CONFIG: "settings, a spec or an input file are wrong",
    ExitCode.BUNDLE: "the model bundle cannot be trusted or used",
    ExitCode.STATE: "state, topics or retention do not allow a right answer",
    ExitCode.FENCED: "another process took this one's place",
    ExitCode.DEAD_LETTER_LIMIT: "too many records are rejected to go on",
    ExitCode.BROKER: "the broker is unreachable or refuses",
    ExitCode.WATCHDOG: "a call to the broker did not return",
}

_DESCRIPTION = "Score payments on a Kafka stream, each exactly once."

_EXAMPLES = """examples:
  fraud-worker check --bootstrap-servers broker:9092
  FRAUD_BOOTSTRAP_SERVERS=broker:9092 FRAUD_START=earliest fraud-worker run
  fraud-worker score --help
"""

#: Read by numerical libraries when they are loaded, hence before any is. One thread
#: scores: more of them fight over the core with the client's own, and sums of floats
#: depend on how many there are.
_THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Raises
    ------
    SystemExit
        From argparse: 0 after help, 2 for arguments that it does not understand.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    limit_threads(os.environ)
    args = _parser(_chosen(arguments)).parse_args(arguments)
    module = importlib.import_module(f"worker.commands.{args.command}")
    logs.configure(form="text")
    try:
        settings = Settings.from_env(os.environ, overrides_of(args))
        logs.configure(form=_log_form(args.command, settings), level=settings.log_level)
        return int(module.main(args, settings))
    except Fatal as fatal:
        logs.last_words(fatal, exit_code=fatal.exit_code)
        return fatal.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _stop_writing()
    except Exception as error:  # noqa: BLE001 - the crash boundary: unknown is fatal
        _LOG.critical("crashed", exc_info=error)
        return ExitCode.CRASHED


def limit_threads(environ: MutableMapping[str, str]) -> None:
    """Let numerical libraries use one thread unless somebody wants otherwise."""
    for name in _THREAD_LIMITS:
        environ.setdefault(name, "1")


def commands() -> Iterator[str]:
    """Yield the names of the commands that exist."""
    for name in COMMANDS:
        if importlib.util.find_spec(f"worker.commands.{name}") is not None:
            yield name


def _chosen(arguments: Sequence[str]) -> str | None:
    """Return the command among the arguments; argparse says what is wrong without."""
    first = next((text for text in arguments if not text.startswith("-")), None)
    return first if first in set(commands()) else None


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    """Make the parser; only the chosen command brings its own arguments."""
    parser = argparse.ArgumentParser(
        prog="fraud-worker",
        description=_DESCRIPTION,
        epilog=_EXAMPLES + _exit_codes(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {__version__}"
    )
    subparsers = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    for name in commands():
        text = _help_of(name)
        added = subparsers.add_parser(
            name,
            help=text.replace("%", "%%"),
            allow_abbrev=False,
            description=f"{text[:1].upper()}{text[1:].removesuffix('.')}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == chosen:
            _add_arguments(added, importlib.import_module(f"worker.commands.{name}"))
    return parser


def _add_arguments(parser: argparse.ArgumentParser, module: ModuleType) -> None:
    parser.epilog = module.EPILOG
    module.add_arguments(parser)
    # Two dozen settings would bury what is the command's own.
    usage = parser.format_usage().removeprefix("usage: ").rstrip()
    parser.usage = f"{usage} [SETTINGS]".replace("%", "%%")
    # A command may name the settings that matter to it, in SETTINGS.
    add_flags(parser, getattr(module, "SETTINGS", None))


def _help_of(name: str) -> str:
    """Read a command's HELP from its source, since importing all takes a second."""
    found = importlib.util.find_spec(f"worker.commands.{name}")
    assert found is not None
    assert found.origin is not None
    for node in ast.parse(Path(found.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "HELP":
            return str(ast.literal_eval(node.value))
    raise AssertionError(f"worker.commands.{name} has no HELP")


def _exit_codes() -> str:
    lines = [f"  {code.value:<4}{text}" for code, text in EXIT_MEANINGS.items()]
    lines.append(f"  {INTERRUPTED:<4}interrupted from the keyboard")
    return "\nexit codes:\n" + "\n".join(lines)


def _log_form(command: str, settings: Settings) -> Literal["auto", "json", "text"]:
    is_spoken_to = settings.log_format == "auto" and command not in SERVICES
    return "text" if is_spoken_to else settings.log_format


def _stop_writing() -> int:
    """End quietly when whoever read our output has had enough, as `head` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.OK
