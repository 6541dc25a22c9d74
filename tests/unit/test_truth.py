"""`fraud-worker truth` by its parts: the clock, the join, what is kept and told."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.conftest import ROOT
from tests.promtool import promtool
from tests.small_models import ONE_ENTITY, small_model
from tests.truth_builders import (
    BEGIN_MS,
    DAY_MS,
    HOUR_MS,
    SCHEMA,
    WEEK,
    Label,
    Scored,
    batch_of,
)
from worker.codec.score_reader import read_scores
from worker.commands.clients import open_bundle
from worker.commands.truth import Forecasts, maturity_of
from worker.config import Settings
from worker.errors import StateUnusable
from worker.features import Spec
from worker.metrics import TRUTH_CATALOGUE, truth_catalogue
from worker.records import LogBounds, NextOffset, RecordBatch, TopicPartition
from worker.truth import (
    BIN_COUNT,
    DECISIONS,
    LABELS,
    Join,
    Maturity,
    ModelTally,
    Tally,
    TruthLoop,
    TruthMetrics,
    truth_exposition,
)
from worker.truth.clock import EventClock
from worker.truth.cohorts import Cohorts
from worker.truth.loop import IDLE_SECONDS
from worker.truth.memory import commits_of, remembered
from worker.truth.tally import EDGE_UNITS, MAX_MODELS, SCORE_OUTCOMES

SCORES = [TopicPartition("scores", partition) for partition in range(2)]
LABEL = TopicPartition("labels", 0)

#: What the broker keeps beside an offset at most, by default.
METADATA_BYTES = 4096

SERIES_BUDGET = 700


def new_join(tally: Tally | None = None, at: int = 0) -> Join:
    places = dict.fromkeys(SCORES, at)
    return Join(SCHEMA, WEEK, places, {LABEL: at}, tally or Tally())


def give(join: Join, place: TopicPartition, *records: Scored | Label | bytes) -> None:
    """Let the join read all that there is of a partition."""
    values = [r if isinstance(r, bytes) else r.value for r in records]
    join.read(place, batch_of(place, range(len(values)), values))
    join.passed(place, len(values))


def judged(join: Join, after_ms: int = WEEK.total_ms) -> Tally:
    """Judge what is so old on a Wednesday at one."""
    for place in (*SCORES, LABEL):
        join.passed(place, 0)
    give(join, SCORES[1], Scored("last", BEGIN_MS + HOUR_MS + after_ms, 0.1, False))
    until_ms = join.due(())
    assert until_ms is not None
    join.judge(until_ms)
    return join.tally


# The clock


def test_the_clock_is_the_greatest_time_unless_a_partition_holds_it() -> None:
    clock = EventClock(SCORES)
    clock.saw(SCORES[0], 50)
    clock.saw(SCORES[1], 80)
    clock.saw(SCORES[1], 70)
    clock.saw(LABEL, 60)

    assert clock.now_ms([]) == 80
    assert clock.now_ms([SCORES[0]]) == 50
    assert clock.now_ms([LABEL]) == 60
    assert clock.now_ms([LABEL, SCORES[1]]) == 60


def test_labels_never_move_the_clock() -> None:
    clock = EventClock(SCORES)
    clock.saw(LABEL, 60)

    assert clock.now_ms([]) is None
    clock.saw(SCORES[0], 50)
    assert clock.now_ms([LABEL]) == 50


def test_there_is_no_time_while_a_partition_has_not_said_anything() -> None:
    clock = EventClock(SCORES)
    clock.saw(SCORES[0], 50)

    assert clock.now_ms([SCORES[1]]) is None


# The join

PAYMENT = Scored("a", BEGIN_MS + 1, 0.7, is_flagged=True)
FRAUD = Label("a", BEGIN_MS + 1, is_fraud=True, known_ms=BEGIN_MS + 1 + 7 * DAY_MS)


def decisions(tally: Tally) -> list[list[int]]:
    found: list[list[int]] = tally.models["m"].decisions.tolist()
    return found


@pytest.mark.parametrize("first", [SCORES[0], LABEL])
def test_a_label_may_come_before_its_score(first: TopicPartition) -> None:
    join = new_join()
    records: dict[TopicPartition, Scored | Label] = {SCORES[0]: PAYMENT, LABEL: FRAUD}
    for place in (first, *(records.keys() - {first})):
        give(join, place, records[place])

    tally = judged(join)

    assert decisions(tally) == [[0, 1], [0, 0], [0, 0]]
    assert tally.matched.tolist() == [0, 1]
    assert tally.models["m"].score_units.tolist() == [700_000_000, 0, 0]


def test_a_payment_is_judged_once_its_hour_is_old_enough_and_not_before() -> None:
    join = new_join()
    give(join, SCORES[0], PAYMENT)
    give(join, SCORES[1], Scored("b", BEGIN_MS + HOUR_MS + WEEK.total_ms - 1, 0, False))
    join.passed(LABEL, 0)

    until_ms = join.due(())

    assert until_ms is not None
    join.judge(until_ms)
    assert join.tally.models == {}
    assert decisions(judged(join)) == [[1, 0], [0, 0], [0, 0]]


def test_without_a_label_in_time_a_payment_is_genuine() -> None:
    join = new_join()
    give(join, SCORES[0], PAYMENT)
    give(join, LABEL, FRAUD._replace(known_ms=FRAUD.known_ms + 1))

    tally = judged(join)

    assert decisions(tally) == [[1, 0], [0, 0], [0, 0]]
    assert tally.late_labels == 1


def test_a_label_that_comes_when_its_payment_is_judged_is_late() -> None:
    join = new_join()
    give(join, SCORES[0], PAYMENT)
    judged(join)

    give(join, LABEL, FRAUD)

    assert join.tally.late_labels == 1
    assert decisions(join.tally) == [[1, 0], [0, 0], [0, 0]]


def test_the_last_label_in_time_counts() -> None:
    join = new_join()
    give(join, SCORES[0], PAYMENT)
    give(join, LABEL, FRAUD, FRAUD._replace(is_fraud=False))

    tally = judged(join)

    assert decisions(tally) == [[1, 0], [0, 0], [0, 0]]
    assert tally.matched.tolist() == [1, 0]
    assert tally.unmatched["repeated"] == 1


def test_what_matches_nothing_is_counted_by_its_reason() -> None:
    join = new_join()
    give(join, SCORES[0], PAYMENT, b"no score")
    other_time = FRAUD._replace(time_ms=FRAUD.time_ms + 1)
    give(join, LABEL, FRAUD._replace(id="nobody"), other_time, b"{}", b"no label")

    tally = judged(join)

    assert tally.unmatched == {"unknown": 2, "malformed": 2, "repeated": 0}
    assert tally.scores["malformed"] == 1


def test_a_repeated_score_counts_once_and_a_late_one_not_at_all() -> None:
    join = new_join()
    again = PAYMENT._replace(score=0.2, is_flagged=False, is_duplicate=True)
    give(join, SCORES[0], PAYMENT, again, again._replace(is_duplicate=False))
    judged(join)

    assert decisions(join.tally) == [[1, 0], [0, 0], [0, 0]]
    assert join.tally.scores["repeated"] == 2
    join.read(SCORES[0], batch_of(SCORES[0], [3], [PAYMENT._replace(id="z").value]))
    join.read(SCORES[0], batch_of(SCORES[0], [4], [again.value]))
    assert join.tally.scores == {"judged": 1, "repeated": 3, "late": 1, "malformed": 0}


def test_the_control_group_is_counted_apart() -> None:
    join = new_join()
    give(join, SCORES[0], PAYMENT._replace(is_flagged=False, is_control=True))
    give(join, LABEL, FRAUD)

    assert decisions(judged(join)) == [[0, 0], [0, 0], [0, 1]]


def test_models_are_counted_apart() -> None:
    join = new_join()
    give(join, SCORES[0], PAYMENT, PAYMENT._replace(id="b", version="n"))

    models = judged(join).models

    assert {v: int(of.bins.sum()) for v, of in models.items()} == {"m": 1, "n": 1}


def test_a_payment_takes_fourteen_bytes_and_a_label_seventeen() -> None:
    cohorts, count = Cohorts(), 10_000
    numbers = np.arange(count, dtype=np.int64)
    times = np.full(count, BEGIN_MS)
    cohorts.add_scores(LABEL, numbers, numbers, times, numbers, numbers % 7)
    cohorts.add_labels(LABEL, numbers, numbers, times, numbers, numbers % 2 == 0)
    (cohort,) = cohorts._cohorts.values()

    def held(*columns: str) -> int:
        arrays = [getattr(cohort, name) for name in columns]
        return sum(len(each) * each.itemsize for each in arrays)

    assert held("ids", "units", "kinds") == 14 * count
    assert held("label_ids", "delays", "frauds") == 17 * count


def test_what_is_read_of_a_score_is_what_is_published() -> None:
    no_scores = [None, b"", b"[]", b'{"score":2}', b"\xff", b"[" * 100_000]
    bad_time = PAYMENT.value.replace(b"2018", b"20x8")

    found = read_scores([*no_scores, PAYMENT.value, bad_time])

    assert found.rows.tolist() == [len(no_scores)]
    assert found.transaction_ids == ["a"]
    assert found.event_time_ms.tolist() == [PAYMENT.time_ms]
    assert found.units.tolist() == [700_000_000]
    assert found.flagged.tolist() == [True]
    assert found.model_versions == ["m"]


# The loop


class Reader:
    """A reader that is told what comes next."""

    def __init__(self) -> None:
        self.positions: dict[TopicPartition, int] = dict.fromkeys((*SCORES, LABEL), 0)
        self.unread: set[TopicPartition] = set()
        self.next: dict[TopicPartition, RecordBatch] = {}

    def ends_are(self, ends: Mapping[TopicPartition, int]) -> None:
        self.unread |= {p for p, end in ends.items() if end > self.positions[p]}

    def poll(self, *_: float) -> dict[TopicPartition, RecordBatch]:
        batches, self.next = self.next, {}
        for place, batch in batches.items():
            self.positions[place] += len(batch)
            self.unread.discard(place)
        return batches

    def bring(self, place: TopicPartition, *records: Scored | Label) -> None:
        first = self.positions[place]
        offsets = range(first, first + len(records))
        self.next[place] = batch_of(place, offsets, [r.value for r in records])


class Bench:
    """A loop with everything around it in reach of a test."""

    def __init__(self) -> None:
        self.join, self.reader, self.now = new_join(), Reader(), 0.0
        self.metrics = TruthMetrics("m", lambda _: {})
        self.metrics.show(self.join.tally)
        self.ends: dict[TopicPartition, int] = {}
        self.commits: list[Mapping[TopicPartition, NextOffset]] = []
        self.loop = TruthLoop(
            self.join,
            self.reader,
            self.metrics,
            ends=self._ends,
            commit=self.commits.append,
            clock=lambda: self.now,
        )

    def _ends(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {p: max(self.ends.get(p, 0), self.reader.positions[p]) for p in places}

    @property
    def judged(self) -> float:
        return self.metrics.store.value(truth_catalogue.TRUTH_SCORES, "judged")


def old_enough() -> Scored:
    return Scored("last", BEGIN_MS + HOUR_MS + WEEK.total_ms, 0.1, is_flagged=False)


def test_a_label_published_before_the_score_that_moves_the_clock_is_read_first() -> (
    None
):
    bench = Bench()
    bench.reader.bring(SCORES[0], PAYMENT)
    bench.reader.bring(SCORES[1], old_enough())
    bench.ends[LABEL] = 1
    bench.loop.run_once()
    bench.now += IDLE_SECONDS
    bench.loop.run_once()
    assert bench.judged == 0

    bench.reader.bring(LABEL, FRAUD)
    bench.loop.run_once()

    assert decisions(bench.join.tally) == [[0, 1], [0, 0], [0, 0]]
    assert bench.judged == 1


def test_a_partition_holds_the_clock_until_nothing_came_for_a_minute() -> None:
    """Its worker may only be slower than the others."""
    bench = Bench()
    bench.reader.bring(SCORES[0], PAYMENT)
    bench.reader.bring(SCORES[1], old_enough())
    bench.loop.run_once()
    bench.now += IDLE_SECONDS - 1
    bench.loop.run_once()
    assert bench.judged == 0

    bench.now += 1
    bench.loop.run_once()

    assert bench.judged == 1


def test_an_idle_process_commits_again_before_the_broker_forgets() -> None:
    bench = Bench()
    for _ in range(48):
        bench.now += 1800.0
        bench.loop.run_once()

    assert 24 <= len(bench.commits) <= 25


# What a successor begins with


def bounds(**of: LogBounds) -> dict[TopicPartition, LogBounds]:
    log = LogBounds(0, 10, None)
    return {place: of.get(place.topic, log) for place in (*SCORES, LABEL)}


def test_a_group_that_never_was_begins_at_the_starts() -> None:
    logs = bounds(scores=LogBounds(4, 10, 0))

    memory = remembered(dict.fromkeys(logs), logs)

    assert memory.tally.to_text() == Tally().to_text()
    assert set(memory.places[SCORES[0]]) == {4}
    assert memory.removed == 0


def test_what_waits_is_read_again_and_nothing_else_is_counted_again() -> None:
    join = new_join()
    young = PAYMENT._replace(id="y", time_ms=BEGIN_MS + 8 * DAY_MS)
    give(join, SCORES[0], PAYMENT, b"broken", young)
    give(join, LABEL, FRAUD)
    judged(join)
    commits = commits_of(join)

    memory = remembered(commits, bounds())
    successor = Join(
        SCHEMA,
        WEEK,
        {place: memory.places[place].position for place in SCORES},
        {LABEL: memory.places[LABEL].position},
        memory.tally,
    )

    assert {p: of.needed for p, of in memory.places.items()} == {
        SCORES[0]: 2,
        SCORES[1]: 0,
        LABEL: 1,
    }
    steps = [successor.is_restored]
    successor.passed(LABEL, 1)
    give(successor, SCORES[0], PAYMENT, b"broken", young)
    steps.append(successor.is_restored)
    give(successor, SCORES[1], old_enough())
    assert [*steps, successor.is_restored] == [False, False, True]
    assert successor.waiting_payments == 2
    assert successor.tally.scores == join.tally.scores
    assert decisions(successor.tally) == [[0, 1], [0, 0], [0, 0]]


def test_before_all_is_back_nothing_is_judged() -> None:
    """Though the clock is there: what came late in its log is still missing."""
    join = new_join(at=2)
    join.passed(LABEL, 2)
    join.passed(SCORES[1], 2)
    join.read(SCORES[0], batch_of(SCORES[0], [0], [old_enough().value]))
    join.passed(SCORES[0], 1)
    assert join.due(()) is None

    join.read(SCORES[0], batch_of(SCORES[0], [1], [PAYMENT.value]))
    join.passed(SCORES[0], 2)

    until_ms = join.due(())
    assert until_ms is not None
    join.judge(until_ms)
    assert decisions(join.tally) == [[1, 0], [0, 0], [0, 0]]


def test_records_that_are_needed_and_gone_are_told() -> None:
    found = {place: NextOffset(3, "7") for place in bounds()}
    found[LABEL] = NextOffset(3, f"7 {Tally(late_labels=2).to_text()}")

    memory = remembered(found, bounds(scores=LogBounds(8, 10, 0)))

    assert memory.removed == 2 * 5
    assert set(memory.places[SCORES[0]]) == {8}
    assert memory.places[LABEL] == (7, 3)
    assert memory.tally.late_labels == 2


@pytest.mark.parametrize(
    "metadata", ["", "x", "11", '{"v":1}', "7 abc", f"7 {'0' * 40}"]
)
def test_a_commit_of_something_else_is_refused(metadata: str) -> None:
    """One that lies behind the end of a topic that was made anew, too."""
    found = {place: NextOffset(3, metadata) for place in bounds()}

    with pytest.raises(StateUnusable, match=r"[Dd]elete "):
        remembered(found, bounds())


def test_commits_of_some_topics_alone_are_refused() -> None:
    found = {place: NextOffset(3, "7") for place in bounds()}

    with pytest.raises(StateUnusable, match="some of these topics"):
        remembered(found, bounds())


# What was counted, as text


def full_tally(seed: int = 1, largest: int = 10**9) -> Tally:
    random = np.random.default_rng(seed)
    tally = Tally(judged_until_ms=BEGIN_MS, late_labels=largest, delay_ms=10**17)
    for number in range(MAX_MODELS):
        model = tally.model(f"2018-07-3{number}.12345")
        model.bins[:] = random.integers(0, largest, model.bins.shape)
        model.decisions[:] = random.integers(0, largest, model.decisions.shape)
        model.score_units[:] = random.integers(0, 10**18, model.score_units.shape)
    tally.scores.update(dict.fromkeys(SCORE_OUTCOMES, largest))
    tally.delays[:] = random.integers(0, largest, tally.delays.shape)
    return tally


def test_what_was_counted_survives_as_text() -> None:
    tally = full_tally()

    again = Tally.from_text(tally.to_text())

    assert again.to_text() == tally.to_text()
    assert list(again.models) == list(tally.models)
    assert (again.delays == tally.delays).all()
    assert again.scores == tally.scores


def test_the_text_of_a_billion_payments_in_each_bin_fits_beside_an_offset() -> None:
    text = full_tally().to_text()

    assert text.isascii()
    assert len(text) + len(f"{2**63} ") < METADATA_BYTES


def test_a_text_of_another_format_is_refused() -> None:
    other = zlib.compress(b'{"format":2}')

    with pytest.raises(StateUnusable, match="format 2"):
        Tally.from_text(base64.b85encode(other).decode())


def test_the_model_that_was_judged_longest_ago_goes() -> None:
    tally = Tally()
    for version in ("a", "b", "c", "a", "d"):
        tally.model(version)

    assert list(tally.models) == ["c", "a", "d"]


def test_bins_hold_their_lower_edge() -> None:
    tally = ModelTally()
    units = np.concatenate(([0], EDGE_UNITS, EDGE_UNITS - 1, [10**9]))
    tally.count(units, np.ones_like(units), np.zeros(len(units), np.bool_))

    assert len(EDGE_UNITS) == BIN_COUNT - 1
    assert (np.diff(EDGE_UNITS) > 1).all()
    assert tally.bins[:, 0].tolist() == [2] * BIN_COUNT
    assert tally.frauds_above.tolist() == [0] * BIN_COUNT


# When a payment is mature


def test_maturity_is_the_delay_of_the_spec_a_setting_or_a_week() -> None:
    handbook = Spec.from_toml((ROOT / "training/specs/handbook.toml").read_text())
    plain = Spec.from_toml(ONE_ENTITY)
    longer = "9d".join(handbook.text.rsplit("7d", 1))

    assert maturity_of(Settings(), handbook) == Maturity(7 * DAY_MS, DAY_MS)
    assert maturity_of(Settings(), Spec.from_toml(longer)).label_ms == 9 * DAY_MS
    assert maturity_of(Settings(), plain) == Maturity(7 * DAY_MS, DAY_MS)
    own = replace(Settings(), label_maturity_days=0.5)
    assert maturity_of(own, handbook) == Maturity(DAY_MS // 2, DAY_MS)


def test_forecasts_are_those_of_each_models_own_bundle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for version in ("a", "b"):
        small_model(tmp_path, version)
    settings = replace(Settings(), models_dir=tmp_path)
    forecasts = Forecasts(settings, open_bundle(settings))

    assert forecasts("a") == forecasts("b") == {"average_precision": 0.25}
    assert forecasts("never") == {}
    assert [record.message for record in caplog.records] == ["no_forecast"]


# What is told


def samples_of(metrics: TruthMetrics) -> list[Sample]:
    text = truth_exposition(metrics)("")[0].decode()
    return [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("fraud_")
    ]


def test_every_series_of_the_model_in_use_begins_at_0() -> None:
    metrics = TruthMetrics("m", lambda _: {})
    metrics.show(Tally())

    found = samples_of(metrics)

    assert {s.value for s in found if s.name.endswith(("_total", "_bucket"))} == {0}
    names = {s.name.rsplit("_bucket")[0] for s in found}
    counters = {m.name for m in TRUTH_CATALOGUE if m.type != "gauge"}
    assert counters <= names
    bins = [s for s in found if s.name == "fraud_truth_payments_total"]
    assert len(bins) == BIN_COUNT * len(LABELS)
    decided = [s for s in found if s.name == "fraud_truth_decisions_total"]
    assert {s.labels["decision"] for s in decided} == set(DECISIONS)


def test_a_model_that_is_forgotten_has_no_series() -> None:
    metrics = TruthMetrics("m", lambda _: {"roc_auc": 0.9, "other": 1.0})
    tally = Tally()
    tally.model("old")
    metrics.show(tally)
    metrics.show(Tally())

    found = samples_of(metrics)

    assert {s.labels.get("model_version", "m") for s in found} == {"m"}
    forecasts = [s for s in found if s.name == "fraud_forecast_ratio"]
    assert [(s.labels["figure"], s.value) for s in forecasts] == [("roc_auc", 0.9)]


def test_the_series_stay_within_their_budget() -> None:
    figures = dict.fromkeys(
        ("alert_precision", "alert_recall", "roc_auc", "average_precision"), 0.5
    )
    metrics = TruthMetrics("m", lambda _: figures)
    tally = full_tally()
    metrics.show(tally)
    metrics.measured(new_join(tally), 3)
    metrics.polled(1.0)

    found = samples_of(metrics)

    assert len(found) <= SERIES_BUDGET
    assert {s.name for s in found if s.name.endswith("_seconds_count")}


def test_promtool_has_nothing_to_say_about_the_metrics() -> None:
    metrics = TruthMetrics("m", lambda _: {"roc_auc": 0.9})
    metrics.show(full_tally())
    metrics.measured(new_join(), 3)
    metrics.polled(1.0)
    text = truth_exposition(metrics)("")[0]
    own = b"\n".join(x for x in text.splitlines() if b"fraud_" in x) + b"\n"

    code, said = promtool("check", "metrics", text=own)

    assert (code, said) == (0, "")
    told = {s.name for s in samples_of(metrics)}
    parts = ("", "_bucket")
    for metric in TRUTH_CATALOGUE:
        assert any(f"{metric.name}{part}" in told for part in parts), metric.name
