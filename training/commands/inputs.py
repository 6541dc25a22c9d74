"""What commands read: specs and histories, with their reports on standard error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from training.dataset import read_dataset
from training.fit import FitPlan, Prepared, prepare
from training.labels import (
    FRAUD,
    LABEL_TIME,
    LabelReport,
    label_history,
    read_labels,
)
from training.progress import shown
from training.split import LabelledHistory, SplitPlan, Windows
from worker.errors import InvalidConfig
from worker.features import Spec
from worker.records import EventBatch


def read_spec(text: str) -> Spec:
    """Read the spec in a file, or the shipped one of that name."""
    path = Path(text)
    shipped = resources.files("training") / "specs" / f"{text}.toml"
    if path.is_file():
        content = path.read_bytes()
    elif path.name == text and shipped.is_file():
        content = shipped.read_bytes()
    else:
        raise InvalidConfig([f"{text}: there is no such file"], subject="spec")
    try:
        return Spec.from_toml(content.decode())
    except UnicodeDecodeError:
        raise InvalidConfig([f"{text} is not UTF-8"], subject="spec") from None


def read_names(args: argparse.Namespace, spec: Spec) -> Mapping[str, str]:
    """Return what --column says; a field that nobody has declared is a mistake."""
    names = dict(args.column)
    known = [*(field.name for field in spec.schema.fields), FRAUD, LABEL_TIME]
    problems = [
        f"--column {name}={names[name]}: the spec has no field {name!r}; it has: "
        f"{', '.join(known)}"
        for name in names
        if name not in known
    ]
    if problems:
        raise InvalidConfig(problems)
    return names


def read_events(args: argparse.Namespace, spec: Spec) -> EventBatch:
    """Read --transactions and report on them."""
    with shown(f"reading {args.transactions}"):
        data = read_dataset(args.transactions, spec, names=read_names(args, spec))
    print(*data.report.lines(), sep="\n", file=sys.stderr)
    return data.events


def read_history(
    args: argparse.Namespace, spec: Spec
) -> tuple[EventBatch, LabelledHistory, LabelReport]:
    """Read --transactions and --labels and report on both."""
    events = read_events(args, spec)
    return events, *_read_labels_of(events, args.labels, args, spec)


def read_perhaps_labelled(
    args: argparse.Namespace, spec: Spec
) -> tuple[EventBatch, LabelledHistory | None]:
    """Read --transactions, and labels where they are given or the spec needs them.

    Without --labels they are looked for in the file of the transactions.

    Raises
    ------
    InvalidConfig
        Also where the spec looks at labels, and there are none.
    """
    events = read_events(args, spec)
    if args.labels is None and not spec.uses_labels:
        return events, None
    try:
        file = args.labels or args.transactions
        return events, _read_labels_of(events, file, args, spec)[0]
    except InvalidConfig as error:
        if args.labels is not None:
            raise
        problem = f"{spec.name!r} looks at labels; give them too with --labels"
        raise InvalidConfig([problem, *error.problems]) from None


def _read_labels_of(
    events: EventBatch, file: Path, args: argparse.Namespace, spec: Spec
) -> tuple[LabelledHistory, LabelReport]:
    labels = read_labels(file, spec.schema, names=read_names(args, spec))
    history, report = label_history(
        events, labels, spec.schema, label_delay_ms=args.label_delay
    )
    print(*report.lines(), sep="\n", file=sys.stderr)
    return history, report


def fit_plan(args: argparse.Namespace) -> FitPlan:
    """Return what the arguments say about fitting."""
    lengths = SplitPlan(args.train_days, args.label_delay, args.test_days)
    return FitPlan(args.model, args.seed, lengths, args.alert_budget)


def prepare_windows(
    spec: Spec, events: EventBatch, history: LabelledHistory, windows: list[Windows]
) -> Prepared:
    """Compute the features that these windows need, and show how far it is."""
    with shown("computing features") as progress:
        return prepare(spec, events, history, windows, progress=progress)
