"""score gives what the worker would publish if the lines were a partition's log."""

from __future__ import annotations

import io
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commanding import run_command
from tests.small_models import small_model
from tests.streams import append, payments, right_answers
from worker.commands import score
from worker.commands.lines import MAX_LINE_BYTES, Line, blocks
from worker.config import Settings
from worker.errors import BundleRejected, InvalidConfig
from worker.records import RecordBatch
from worker.scoring import LoadedModel


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(models_dir: Path) -> LoadedModel:
    return small_model(models_dir)


@pytest.fixture
def settings(models_dir: Path, model: LoadedModel) -> Settings:
    return Settings(models_dir=models_dir)


@pytest.fixture(scope="module")
def log() -> RecordBatch:
    """Payments, late ones and repeats; nothing that only a broker could object to."""
    chosen, whole = RecordBatch(), payments(400)
    for key, value, time_ms in zip(
        whole.keys, whole.values, whole.timestamps_ms, strict=True
    ):
        if value and value.startswith(b"{") and key != b"somebody else":
            append(chosen, key, value, offset=len(chosen), timestamp_ms=time_ms)
    return chosen


def write(path: Path, values: list[bytes | None]) -> str:
    path.write_bytes(b"".join(b"%s\n" % value for value in values if value))
    return str(path)


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_scores_are_those_of_the_worker_byte_for_byte(
    share: float,
    settings: Settings,
    model: LoadedModel,
    log: RecordBatch,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    file = write(tmp_path / "payments.jsonl", log.values)

    code = run_command(score, replace(settings, control_group_share=share), file)

    out, err = capfdbinary.readouterr()
    answers = right_answers(model, log, control_group_share=share)
    expected = [o.value for o in answers if o.topic == "scores"]
    assert code == 0
    assert out.splitlines() == expected
    assert b"scored %d, " % len(expected) in err
    assert (b'"control_group":true' in out) is (share > 0)


def test_only_flagged_payments_have_reasons(
    settings: Settings,
    log: RecordBatch,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    file = write(tmp_path / "payments.jsonl", log.values)

    run_command(score, settings, file)

    scores = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert {row["flagged"] for row in scores} == {True, False}
    assert all(row["flagged"] == ("reasons" in row) for row in scores)
    first = next(row["reasons"][0] for row in scores if row["flagged"])
    assert first["contribution"] > 0
    assert first["text"].endswith(": none") == (first["value"] is None)


def test_explained_payments_have_all_that_raised_or_lowered_their_scores(
    settings: Settings,
    model: LoadedModel,
    log: RecordBatch,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """With the model's base, contributions add up to the log odds of each score."""
    file = write(tmp_path / "payments.jsonl", log.values)

    run_command(score, settings, file, "--explain")

    assert model.reasons is not None
    scores = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert len(scores) > 300
    for row in scores:
        raw = sum(reason["contribution"] for reason in row["reasons"])
        odds = math.exp(raw + model.reasons.contributions.base)
        assert row["score"] == pytest.approx(odds / (1 + odds), abs=1e-5)


def test_lines_that_are_no_payment_are_named_by_number_and_reason(
    settings: Settings,
    log: RecordBatch,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    values = [b"secret garbage", *log.values[:2], b" ", b'{"amount":"secret"}']
    file = write(tmp_path / "payments.jsonl", values)
    letters = tmp_path / "letters.jsonl"

    run_command(score, settings, file, "--dead-letters", str(letters))

    out, err = capfdbinary.readouterr()
    assert len(out.splitlines()) == 2
    assert [json.loads(line) for line in letters.read_bytes().splitlines()] == [
        {"line": 1, "reason": "not_json", "field": None},
        {"line": 5, "reason": "missing_field", "field": "transaction_id"},
    ]
    assert err.endswith(b"dead letters 2\n")


def test_history_is_folded_and_not_answered(
    settings: Settings,
    model: LoadedModel,
    log: RecordBatch,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    history = write(tmp_path / "history.jsonl", log.values[:250])
    file = write(tmp_path / "payments.jsonl", log.values[250:])

    run_command(score, settings, "--history", history, file)

    out, err = capfdbinary.readouterr()
    expected = right_answers(model, log, live_from=250)
    assert out.splitlines() == [o.value for o in expected if o.topic == "scores"]
    assert b"folded 250 lines" in err


def test_a_threshold_of_ones_own_decides(
    settings: Settings,
    log: RecordBatch,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    file = write(tmp_path / "payments.jsonl", log.values)
    everything = Settings(models_dir=settings.models_dir, threshold=0.0)

    run_command(score, everything, file)

    scores = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert all(s["flagged"] is True and s["threshold"] == 0.0 for s in scores)


def test_a_file_that_is_not_there_is_a_configuration_error(settings: Settings) -> None:
    with pytest.raises(InvalidConfig, match=r"nowhere\.jsonl cannot be opened"):
        run_command(score, settings, "nowhere.jsonl")


def test_a_version_that_is_not_there_is_a_bundle_error(
    settings: Settings, tmp_path: Path
) -> None:
    file = write(tmp_path / "payments.jsonl", [b"{}"])

    with pytest.raises(BundleRejected):
        run_command(score, settings, file, "--model", "2031-01-01.1")


def lines_of(content: bytes) -> list[Line]:
    return [line for block in blocks(io.BytesIO(content)) for line in block]


def test_lines_are_numbered_and_blank_ones_are_left_out() -> None:
    assert lines_of(b"a\n\n b \r\n\nc") == [(1, b"a"), (3, b"b"), (5, b"c")]
    assert lines_of(b"") == []
    assert lines_of(b"\n\n") == []


def test_a_line_without_end_is_cut_before_it_fills_the_memory() -> None:
    long = b"x" * (5 * MAX_LINE_BYTES)

    (first, second) = lines_of(long + b"\nnext\n")

    assert len(first.content) == MAX_LINE_BYTES
    assert second == (2, b"next")


def test_a_pipe_gets_its_lines_as_they_come() -> None:
    """The second block is asked for only after the first has been handed out."""
    readable, writable = os.pipe()
    with os.fdopen(readable, "rb") as reading, os.fdopen(writable, "wb", 0) as writing:
        writing.write(b"one\ntwo\nthr")
        handed_out = blocks(reading)
        first = next(handed_out)
        writing.write(b"ee\n")
        second = next(handed_out)

    assert [line.content for line in first] == [b"one", b"two"]
    assert second == [(3, b"three")]


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 30)))
def test_lines_do_not_depend_on_how_the_pipe_cuts_them(
    contents: list[bytes], cuts: list[int]
) -> None:
    whole = b"\n".join(contents)

    class Pipe(io.BytesIO):
        sizes = iter(cuts)

        def read1(self, size: int | None = -1, /) -> bytes:
            return super().read(next(self.sizes, size))

    found = [line for block in blocks(Pipe(whole)) for line in block]

    assert found == lines_of(whole)
