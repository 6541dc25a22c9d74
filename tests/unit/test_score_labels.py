"""score with a model of two entities, and labels that come to be known on the way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from tests.commanding import run_command
from tests.label_builders import ROUTED, WITH_LABELS
from tests.small_models import small_model
from tests.staged import golden_log
from tests.staged_memory import FIRST_MS, StagedHistory, staged_history
from training.featurize import feature_matrix
from training.split import LabelledHistory
from worker.codec import Decoder
from worker.codec.scores import published_scores
from worker.commands import score
from worker.commands.lines import Line
from worker.commands.local_stream import LocalStream
from worker.config import Settings
from worker.errors import InvalidConfig
from worker.features import Spec
from worker.scoring import LoadedModel, Scorer

HISTORY = staged_history(120)


@pytest.fixture(scope="module", params=[WITH_LABELS, ROUTED], ids=["stages", "routed"])
def models_dir(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    directory = tmp_path_factory.mktemp("models")
    small_model(directory, spec_text=request.param, golden=golden_log())
    return directory


@pytest.fixture(scope="module")
def model(models_dir: Path) -> LoadedModel:
    spec_text = next(models_dir.glob("*/transform.toml")).read_text()
    return small_model(
        models_dir, spec_text=spec_text, version="2018-08-31.1", golden=golden_log()
    )


@pytest.fixture
def settings(models_dir: Path, model: LoadedModel) -> Settings:
    return Settings(models_dir=models_dir)


def trained_on(spec: Spec, history: StagedHistory) -> np.ndarray:
    """X as training computes it of payments in order of time, and known frauds."""
    lines = [json.dumps(fields).encode() for fields in history.payments]
    events = (
        Decoder(spec.schema, key_is_entity=None)
        .decode([None] * len(lines), lines, [-1] * len(lines))
        .events
    )
    known = {label["id"]: label["label_time"] for _, label in history.labels}
    ids = events.transaction_ids
    return feature_matrix(
        spec,
        events,
        history=LabelledHistory(
            events.event_time_ms,
            np.zeros(len(ids), np.int64),
            np.array([i in known for i in ids]),
            np.array([known.get(i, 0) for i in ids], np.int64),
        ),
    )


class Listening:
    """A model's scorer that keeps the features which it is given."""

    def __init__(self, scorer: Scorer):
        self._scorer = scorer
        self.X: list[np.ndarray] = []

    def score(self, X: np.ndarray) -> np.ndarray:
        self.X.append(X.copy())
        return self._scorer.score(X)


def write(path: Path, lines: Sequence[bytes | dict[str, Any]]) -> str:
    texts = [x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines]
    path.write_bytes(b"".join(b"%s\n" % text for text in texts))
    return str(path)


def labels_of(history: StagedHistory) -> list[dict[str, Any]]:
    return [label for _, label in history.labels]


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_features_are_those_of_training_however_the_lines_come(
    model: LoadedModel, block: int
) -> None:
    """To the bit; labels stand where training puts them."""
    listening = Listening(model.scorer)
    heard = replace(model, scorer=cast("Scorer", listening), reasons=None)
    stream = LocalStream(heard, threshold=0.5, max_keys=1000, max_events=10_000)
    shuffled = labels_of(HISTORY)[::-1]
    stream.add_labels(
        [Line(i, json.dumps(label).encode()) for i, label in enumerate(shuffled)]
    )
    lines = [json.dumps(fields).encode() for fields in HISTORY.payments]

    for at in range(0, len(lines), block):
        stream.answer(lines[at : at + block])

    X = np.concatenate(listening.X)
    assert X.tobytes() == trained_on(model.spec, HISTORY).tobytes()


def test_scores_are_those_of_training(
    settings: Settings,
    model: LoadedModel,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    file = write(tmp_path / "payments.jsonl", HISTORY.payments)
    labels = write(tmp_path / "labels.jsonl", labels_of(HISTORY))

    code = run_command(score, settings, file, "--labels", labels)

    found = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    X = trained_on(model.spec, HISTORY)
    assert code == 0
    assert [each["score"] for each in found] == published_scores(
        model.scorer.score(X)
    ).tolist()
    assert [each["transaction_id"] for each in found] == [
        fields["id"] for fields in HISTORY.payments
    ]


def test_labels_also_count_in_the_history_that_is_not_answered(
    settings: Settings,
    model: LoadedModel,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    past = write(tmp_path / "past.jsonl", HISTORY.payments[:70])
    file = write(tmp_path / "payments.jsonl", HISTORY.payments[70:])
    labels = write(tmp_path / "labels.jsonl", labels_of(HISTORY))

    run_command(score, settings, "--history", past, file, "--labels", labels)

    found = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    X = trained_on(model.spec, HISTORY)
    assert [each["score"] for each in found] == published_scores(model.scorer.score(X))[
        70:
    ].tolist()


def test_lines_that_are_no_payment_keep_their_numbers_between_labels(
    settings: Settings,
    model: LoadedModel,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """A label before, behind and beside each of them, and at the very end."""
    lines: list[bytes | dict[str, Any]] = list(HISTORY.payments[:12])
    for at in (0, 3, 4, 9):
        lines.insert(at, b"{")
    lines.append(b"[]")
    lines.insert(6, b"")
    label = {n: v for n, v in HISTORY.payments[0].items() if n != "amount"}
    times = [FIRST_MS + at_ms for at_ms in (0, 1, 700, 1400, 1401, 4000, 7000, 99_000)]
    known = [label | {"fraud": True, "label_time": time_ms} for time_ms in times]
    file = write(tmp_path / "payments.jsonl", lines)
    labels = write(tmp_path / "labels.jsonl", known)
    letters = tmp_path / "letters.jsonl"

    run_command(
        score, settings, file, "--labels", labels, "--dead-letters", str(letters)
    )

    found = [json.loads(line) for line in letters.read_bytes().splitlines()]
    wrong = [i for i, line in enumerate(lines, 1) if line in (b"{", b"[]")]
    scored = capfdbinary.readouterr().out.splitlines()
    assert [each["line"] for each in found] == wrong
    assert [json.loads(line)["transaction_id"] for line in scored] == [
        fields["id"] for fields in HISTORY.payments[:12]
    ]


def test_all_lines_that_are_no_label_are_listed_at_once(
    settings: Settings, tmp_path: Path
) -> None:
    good, *_ = labels_of(HISTORY)
    without = {name: value for name, value in good.items() if name != "label_time"}
    file = write(tmp_path / "payments.jsonl", HISTORY.payments)
    lines: list[bytes | dict[str, Any]] = [
        good,
        b"secret garbage",
        b"",
        good | {"fraud": "yes"},
        without,
    ]
    labels = write(tmp_path / "labels.jsonl", lines)

    with pytest.raises(InvalidConfig) as error:
        run_command(score, settings, file, "--labels", labels)

    assert error.value.problems == (
        "line 2: not_json",
        "line 4: wrong_type (field fraud)",
        "line 5: missing_field (field label_time)",
    )


def test_labels_for_a_model_that_looks_at_none_are_refused(tmp_path: Path) -> None:
    model = small_model(tmp_path / "models")
    file = write(tmp_path / "lines.jsonl", [b"{}"])
    settings = Settings(models_dir=tmp_path / "models")

    with pytest.raises(
        InvalidConfig, match=f"no feature of {model.spec.name} looks at"
    ):
        run_command(score, settings, file, "--labels", file)
