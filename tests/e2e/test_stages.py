"""Two entities and labels on a real broker: every stage exactly once, to the bit."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.broker import KafkaBroker
from tests.commanding import run_command
from tests.label_builders import WITH_LABELS
from tests.live import START_SECONDS
from tests.marks import leaks_in
from tests.reading_back import read_back
from tests.small_models import small_model
from tests.staged import (
    StagedFold,
    StagedStream,
    StagedTraffic,
    golden_log,
    published,
    rejected_payments,
)
from tests.waiting import wait_until
from worker.commands import replay
from worker.config import Settings
from worker.errors import ExitCode
from worker.kafka.admin import Cluster

REKEYED = WITH_LABELS.replace('name = "with-labels"', 'name = "r"\nrekey = true')


@pytest.fixture
def make_staged(
    kafka: KafkaBroker, tmp_path: Path, fresh_name: Callable[[str], str]
) -> Iterator[Callable[[str], StagedStream]]:
    """Return a function that makes a stream of a spec; nothing of it is left."""
    made = []

    def make(text: str) -> StagedStream:
        model = small_model(tmp_path / "models", spec_text=text, golden=golden_log())
        stream = StagedStream(
            kafka,
            fresh_name("staged"),
            tmp_path / "models",
            tmp_path,
            partitions=4,
            settings={"FRAUD_START": "earliest"},
            model=model,
        )
        stream.create_topics()
        made.append(stream)
        return stream

    yield make
    for stream in made:
        stream.close()


@pytest.fixture
def stream(make_staged: Callable[[str], StagedStream]) -> StagedStream:
    return make_staged(WITH_LABELS)


def await_scores(stream: StagedStream, count: int) -> None:
    """Wait until the scores topic has about that many records."""
    with Cluster(stream.clients) as cluster:
        places = cluster.partitions(stream.scores)

        def there() -> bool:
            ends = cluster.bounds(places).values()
            return sum(bounds.end for bounds in ends) >= count

        wait_until(there, what=f"{count} scores", seconds=START_SECONDS)


def assert_right(stream: StagedStream) -> None:
    """Every record went on once; columns, features and scores are those of the logs."""
    fold = StagedFold(stream)
    accepted = fold.accepted()
    assert fold.forwarded() == Counter(accepted.keys())
    assert fold.handed_on() == accepted
    assert published(stream) == fold.scores()
    assert fold.forwarded_labels() == Counter(fold.accepted_labels())
    assert fold.scores() != fold.scores(with_labels=False)


def assert_replayed(
    stream: StagedStream, capsys: pytest.CaptureFixture[str], *, count: int
) -> None:
    """Single payments are recomputed as they were published, and a dead letter too."""
    settings, scores = Settings.from_env(stream.env()), published(stream)
    rejected = rejected_payments(stream)
    (inner,) = stream.topology.inner
    for partition, offset in [*sorted(scores)[-count:], rejected[-1]]:
        capsys.readouterr()
        name = f"{stream.transactions}/{partition}/{offset}"
        code = run_command(replay, settings, name, "--json")
        found = json.loads(capsys.readouterr().out)
        assert (code, found["differences"]) == (ExitCode.OK, [])
        if (partition, offset) in scores:
            digest, score = scores[partition, offset]
            assert (int(found["digest"], 16), found["score"]) == (digest, score)
            (handed_on,) = found["handed_on"]
            assert handed_on.startswith(f"{inner}/")
        else:
            assert found["published"].startswith(f"{stream.dead_letters}/")


def assert_audited_in_part(stream: StagedStream) -> None:
    """From the middle on, the audit finds as many payments as came since."""
    times: defaultdict[int, list[int]] = defaultdict(list)
    for message in read_back(stream.clients, stream.transactions):
        times[message.partition() or 0].append(message.timestamp()[1])
    everything = sorted(ms for each in times.values() for ms in each)
    since_ms = everything[len(everything) // 2]
    since = dt.datetime.fromtimestamp(since_ms / 1000, dt.UTC).isoformat()
    expected = 0
    for each in times.values():
        before = [ms < since_ms for ms in each]
        expected += 0 if all(before) else len(each) - before.index(False)

    said = stream.verify("--since", since)

    assert 0 < expected < len(everything)
    assert f"events in {expected}, " in said
    assert "missing 0, duplicated 0, out of order 0, different 0" in said


def test_two_workers_two_stages_and_labels_give_what_their_logs_say(
    stream: StagedStream, capsys: pytest.CaptureFixture[str]
) -> None:
    traffic = StagedTraffic(stream)
    first, second = stream.start("0"), stream.start("1")
    with traffic.flowing(500):
        first.await_event("partition_live")
        second.await_event("partition_live")
        await_scores(stream, 1000)
        second.kill()
        await_scores(stream, 1200)
        second = stream.start("1")
        await_scores(stream, traffic.count)
    said = stream.verify()
    assert "missing 0, duplicated 0, out of order 0, different 0" in said
    assert f"events in {traffic.count}, labels in {traffic.label_count}, " in said
    assert_audited_in_part(stream)
    assert_right(stream)
    assert leaks_in(stream.told()) == []
    assert_replayed(stream, capsys, count=12)
    assert {first.end(), second.end()} == {ExitCode.OK}


def test_payments_with_other_keys_and_their_labels_pass_three_stages_once(
    make_staged: Callable[[str], StagedStream],
) -> None:
    stream = make_staged(REKEYED)
    traffic = StagedTraffic(stream)
    with traffic.flowing(500):
        worker = stream.start()
        await_scores(stream, 500)
        worker.kill()
        worker = stream.start()
        await_scores(stream, traffic.count)

    said = stream.verify()
    assert "missing 0, duplicated 0, out of order 0, different 0" in said
    assert f"events in {traffic.count}, labels in {traffic.label_count}, " in said
    assert len(stream.topology.inner) == 2
    for message in read_back(stream.clients, stream.scores):
        assert (message.key() or b"").startswith(b"c")
    assert worker.end() == ExitCode.OK
