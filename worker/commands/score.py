"""Scores payments from a file, once: the pipeline of the worker without a broker."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import msgspec

from worker import __version__
from worker.codec import Decoder, ScoreEncoder
from worker.commands.clients import open_bundle
from worker.commands.lines import Line, blocks
from worker.config import Settings
from worker.errors import ExitCode, InvalidConfig
from worker.pipeline import (
    BatchResult,
    DeadLetters,
    PartitionResult,
    PartitionState,
    Pipeline,
    Stage,
)
from worker.records import RecordBatch, TopicPartition
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
    "max_keys",
    "max_events",
    "log_level",
)

#: The one partition that the lines of all files make up.
_PLACE = TopicPartition("lines", 0)

#: Beyond every offset: what is read below it is folded and not answered.
_NEVER = 2**62


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
        payments = files.enter_context(_opened(args.file))
        letters = sys.stderr.buffer
        if args.dead_letters:
            letters = files.enter_context(_created(args.dead_letters))
        model = load_model(open_bundle(settings, args.model))
        scoring = _Scoring(model, settings, explain=args.explain)
        if history is not None:
            scoring.fold(history)
        scoring.answer(payments, sys.stdout.buffer, letters)
    print(scoring.summary(), file=sys.stderr)
    return ExitCode.OK


class _Scoring:
    """The pipeline at work on lines, and what came of them."""

    def __init__(self, model: LoadedModel, settings: Settings, *, explain: bool):
        threshold = settings.threshold
        self._encoder = ScoreEncoder(
            model.threshold if threshold is None else threshold, model.version
        )
        self._pipeline = _pipeline(model, self._encoder, explain=explain)
        self._partition = PartitionState(
            _PLACE,
            epoch=0,
            state=model.transform.new_state(
                max_keys=settings.max_keys, max_events=settings.max_events
            ),
        )
        self._scored = self._flagged = self._rejected = self._folded = 0

    def fold(self, file: BinaryIO) -> None:
        """Take lines for what they do to those after them."""
        self._partition.live_from = _NEVER
        for lines in blocks(file):
            self._run(lines)
            self._folded += len(lines)
        self._partition.live_from = self._partition.next_offset

    def answer(self, file: BinaryIO, scores: BinaryIO, letters: BinaryIO) -> None:
        """Write the score of each line that is a payment, and name the others."""
        for lines in blocks(file):
            part = self._run(lines).parts[_PLACE]
            values = [o.value for o in part.outputs if o.topic == "scores"]
            scores.writelines(b"%s\n" % value for value in values if value is not None)
            scores.flush()
            letters.writelines(_named(lines, part))
            letters.flush()
            self._scored += part.scored
            self._flagged += part.flagged
            self._rejected += len(part.rejected)

    def summary(self) -> str:
        """Return what happened, in a line."""
        folded = f"folded {self._folded} lines, " if self._folded else ""
        return (
            f"score: {folded}scored {self._scored}, flagged {self._flagged} "
            f"(from {self._encoder.threshold:g} on), dead letters {self._rejected}"
        )

    def _run(self, lines: list[Line]) -> BatchResult:
        count, first = len(lines), self._partition.next_offset
        records = RecordBatch(
            [_PLACE.topic] * count,
            [_PLACE.partition] * count,
            list(range(first, first + count)),
            [-1] * count,
            [None] * count,
            [line.content for line in lines],
        )
        return self._pipeline.run(records, {_PLACE: self._partition})


def _pipeline(model: LoadedModel, encoder: ScoreEncoder, *, explain: bool) -> Pipeline:
    stage = Stage(
        decoder=Decoder(model.spec.schema, key_is_entity=None),
        transform=model.transform,
        scorer=model.scorer,
        reasons=_reasons(model, explain=explain),
        encoder=encoder,
        scores_topic="scores",
        dead_letters=DeadLetters(
            topic="dead-letters",
            stage=model.spec.entities[0].name,
            app_version=__version__,
            model_version=model.version,
            max_message_bytes=0,  # only where and why is written, nothing else
        ),
    )
    return Pipeline({_PLACE.topic: stage})


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


def _named(lines: list[Line], part: PartitionResult) -> Iterator[bytes]:
    """Yield a line of JSON for each line that is no payment."""
    for rejected in part.rejected:
        facts = {
            "line": lines[rejected.position].number,
            "reason": rejected.reason,
            "field": rejected.field,
        }
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
