"""Scores payments from a file, once: the pipeline of the worker without a broker."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import msgspec

from worker.commands.clients import open_bundle
from worker.commands.lines import Line, blocks
from worker.commands.local_stream import Answered, LocalStream
from worker.config import Settings
from worker.errors import ExitCode, InvalidConfig
from worker.scoring import LoadedModel, Reasons, load_model

HELP = "score payments from a file or standard input, without a broker"

EPILOG = """examples:
  All payments of a file, or those that come through a pipe, as they come:
    fraud-worker score payments.jsonl > scores.jsonl
    tail -f payments.jsonl | fraud-worker score

  With what the customers did before: the last 30 days, in the order of time. These
  are folded into the windows and not answered:
    fraud-worker score --history july.jsonl august.jsonl > scores.jsonl

  Why? All that raised or lowered the score of each payment, the largest first; with
  the model's base, the contributions add up to its raw score:
    fraud-worker score --explain payment.jsonl | jq -r '.reasons[] | .text'

  What would another version or threshold have flagged?
    fraud-worker score --model 2018-07-31.1 --threshold 0.4 august.jsonl |
      jq -c 'select(.flagged)'

One JSON object a line, with the fields that the bundle's spec declares
(`fraud-worker inspect` names the spec). Scores go to standard output, one line for
each payment, in the same order. Lines that are no payment are named on standard error
by their number and reason, never by content. Features, score and decision are those
that the worker would publish if these lines were the log of one partition: without
--history, every customer is new."""

SETTINGS = (
    "models_dir",
    "public_key",
    "threshold",
    "control_group_share",
    "max_keys",
    "max_events",
    "log_level",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "file",
        nargs="?",
        default="-",
        help="JSON lines to be scored (default: -, standard input)",
    )
    parser.add_argument(
        "--history",
        metavar="FILE",
        help="JSON lines of earlier payments, folded first and not answered",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="JSON lines of labels, each known from its label_time on, for a model "
        "that looks at them",
    )
    parser.add_argument(
        "--model", metavar="VERSION", help="default: the version in use"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="give reasons for every payment, not for flagged ones only, and all of "
        "them, those against fraud too",
    )
    parser.add_argument(
        "--dead-letters",
        metavar="FILE",
        help="where lines go that are no payment, as JSON lines with number and "
        "reason (default: standard error)",
    )


def main(args: argparse.Namespace, settings: Settings) -> int:
    """Run the command."""
    with ExitStack() as files:
        history = files.enter_context(_opened(args.history)) if args.history else None
        labels = files.enter_context(_opened(args.labels)) if args.labels else None
        payments = files.enter_context(_opened(args.file))
        letters = sys.stderr.buffer
        if args.dead_letters:
            letters = files.enter_context(_created(args.dead_letters))
        model = load_model(open_bundle(settings, args.model))
        scoring = _Scoring(model, settings, explain=args.explain)
        if labels is not None:
            scoring.know(labels)
        if history is not None:
            scoring.fold(history)
        scoring.answer(payments, sys.stdout.buffer, letters)
    print(scoring.summary(), file=sys.stderr)
    return ExitCode.OK


class _Scoring:
    """The stages at work on lines, and what came of them."""

    def __init__(self, model: LoadedModel, settings: Settings, *, explain: bool):
        override = settings.threshold
        self._threshold = model.threshold if override is None else override
        self._stream = LocalStream(
            replace(model, reasons=_reasons(model, explain=explain)),
            threshold=self._threshold,
            control_group_share=settings.control_group_share,
            max_keys=settings.max_keys,
            max_events=settings.max_events,
        )
        self._scored = self._flagged = self._rejected = self._folded = 0

    def know(self, file: BinaryIO) -> None:
        """Take labels, which count from their times on."""
        self._stream.add_labels([line for block in blocks(file) for line in block])

    def fold(self, file: BinaryIO) -> None:
        """Take lines for what they do to those after them."""
        for lines in blocks(file):
            self._stream.fold([line.content for line in lines])
            self._folded += len(lines)

    def answer(self, file: BinaryIO, scores: BinaryIO, letters: BinaryIO) -> None:
        """Write the score of each line that is a payment, and name the others."""
        for lines in blocks(file):
            answered = self._stream.answer([line.content for line in lines])
            scores.writelines(b"%s\n" % value for value in answered.scores)
            scores.flush()
            letters.writelines(_named(lines, answered))
            letters.flush()
            self._scored += len(answered.scores)
            self._flagged += answered.flagged
            self._rejected += len(answered.rejected)

    def summary(self) -> str:
        """Return what happened, in a line."""
        folded = f"folded {self._folded} lines, " if self._folded else ""
        return (
            f"score: {folded}scored {self._scored}, flagged {self._flagged} "
            f"(from {self._threshold:g} on), dead letters {self._rejected}"
        )


def _reasons(model: LoadedModel, *, explain: bool) -> Reasons | None:
    """Return the reasons that the worker gives, or those of every payment in full.

    Raises
    ------
    InvalidConfig
        Explanations are asked for, and the model is of a kind that has none.
    """
    if not explain:
        return model.reasons
    if model.reasons is None:
        problem = f"--explain: {model.manifest.model} is not a kind that is explained"
        raise InvalidConfig([problem], subject="command line")
    return model.reasons.in_full()


def _named(lines: list[Line], answered: Answered) -> Iterator[bytes]:
    """Yield a line of JSON for each line that is no payment."""
    for position, reason, field in answered.rejected:
        facts = {"line": lines[position].number, "reason": reason, "field": field}
        yield msgspec.json.encode(facts) + b"\n"


def _opened(name: str) -> BinaryIO:
    """Return a file to be read; "-" is standard input; raises InvalidConfig."""
    if name == "-":
        return sys.stdin.buffer
    try:
        return Path(name).open("rb", buffering=0)
    except OSError as error:
        raise _unusable(name, error) from None


def _created(name: str) -> BinaryIO:
    try:
        return Path(name).open("wb")
    except OSError as error:
        raise _unusable(name, error) from None


def _unusable(name: str, error: OSError) -> InvalidConfig:
    problem = f"{name} cannot be opened: {error.strerror}"
    return InvalidConfig([problem], subject="command line")
