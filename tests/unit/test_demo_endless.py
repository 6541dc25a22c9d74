"""Payments without end: each once, in order, also after a restart."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from itertools import islice
from pathlib import Path

import orjson
from confluent_kafka import Consumer, TopicPartition

from demo.endless import ORIGIN, PAYMENTS_AT_ONCE, STRETCH_DAYS, Endless
from demo.live import EVENT_TIME, LABEL_TIME, Sending
from demo.mock_broker import PARTITIONS, MockBroker
from tests.conftest import ROOT
from tests.waiting import wait_until

CUSTOMERS = 40

#: Two whole stretches are over.
TODAY = ORIGIN + dt.timedelta(days=2 * STRETCH_DAYS + 5)


def sender(directory: Path, *, broken: float = 0.0) -> Endless:
    return Endless(directory, CUSTOMERS, broken, TODAY)


def a_stretch(endless: Endless) -> list[Sending]:
    stretch = endless.stretch
    stretch.simulate()
    return list(endless.traffic(stretch, f"{stretch.next_first.isoformat()}T"))


def texts(traffic: list[Sending], field: str, *, labels: bool = False) -> list[str]:
    return [
        orjson.loads(each.record.value or b"")[field]
        for each in traffic
        if each.is_label is labels
    ]


def test_one_stretch_follows_the_other_by_the_same_customers(tmp_path: Path) -> None:
    endless = sender(tmp_path)
    first, second = a_stretch(endless), a_stretch(endless)

    times = texts(first + second, EVENT_TIME)
    ids = texts(first + second, "transaction_id")
    assert times == sorted(times)
    assert len(set(ids)) == len(ids) > 2 * 40 * 90
    customers = [set(texts(part, "customer_id")) for part in (first, second)]
    assert len(customers[0] & customers[1]) > 30
    assert texts(first, "amount")[:50] != texts(second, "amount")[:50]


def test_every_fraud_has_its_label(tmp_path: Path) -> None:
    """Also those that become known when the next stretch has begun."""
    endless = sender(tmp_path)
    traffic = a_stretch(endless)

    written = (tmp_path / "labels.jsonl").read_bytes().splitlines()
    known = texts(traffic, LABEL_TIME, labels=True)
    assert len(known) == len(written) > 50
    assert known == sorted(known)
    assert known[-1] > f"{(ORIGIN + dt.timedelta(days=STRETCH_DAYS)).isoformat()}T"


def test_what_was_sent_is_not_sent_again(tmp_path: Path) -> None:
    """A sender that was killed goes on; only what it had not noted comes twice."""
    whole = texts(a_stretch(sender(tmp_path / "whole")), "transaction_id")
    killed = sender(tmp_path / "killed")
    stretch = killed.stretch
    stretch.simulate()
    until = f"{stretch.next_first.isoformat()}T"
    before = list(islice(killed.traffic(stretch, until), 1_234))

    after = texts(a_stretch(sender(tmp_path / "killed")), "transaction_id")

    sent = texts(before, "transaction_id")
    repeated = set(sent) & set(after)
    assert sent + [each for each in after if each not in repeated] == whole
    assert 0 < len(repeated) <= PAYMENTS_AT_ONCE


def test_it_ends_when_its_clock_has_reached_today(tmp_path: Path) -> None:
    with MockBroker() as broker:
        broker.create_topics(["transactions", "labels"])
        endless = sender(tmp_path, broken=0.01)

        assert endless.send(broker.bootstrap_servers, rate=0) == 0

        reached = ORIGIN + dt.timedelta(days=2 * STRETCH_DAYS)
        assert endless.reached == f"{reached.isoformat()}T"
        assert endless.send(broker.bootstrap_servers, rate=0) == 0
        records = in_topic(broker.bootstrap_servers, "transactions")
        labels = in_topic(broker.bootstrap_servers, "labels")
    assert records > 2 * CUSTOMERS * STRETCH_DAYS
    assert labels > 100


def in_topic(servers: str, topic: str) -> int:
    client = Consumer({"bootstrap.servers": servers, "group.id": "counts"})
    places = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    ends = [client.get_watermark_offsets(place, timeout=10)[1] for place in places]
    client.close()
    return sum(ends)


def test_a_sender_that_is_told_to_stop_notes_where_it_was(tmp_path: Path) -> None:
    """SIGTERM ends the process with 0, in the middle of the history."""
    with MockBroker() as broker:
        broker.create_topics(["transactions", "labels"])
        argv = [
            *(sys.executable, "-c", WITHOUT_EXTRAS),
            *("--bootstrap-servers", broker.bootstrap_servers),
            *("--directory", str(tmp_path), "--customers", "2000"),
        ]
        with subprocess.Popen(argv, cwd=ROOT) as process:
            wait_until((tmp_path / "reached").exists, what="payments", seconds=60)
            process.terminate()

            assert process.wait(30) == 0
    assert (tmp_path / "reached").read_text() > f"{ORIGIN.isoformat()}T00"


#: As in the image, which lacks what only the view needs.
WITHOUT_EXTRAS = """
import sys
sys.modules |= dict.fromkeys(["rich"])
from demo.endless import main
sys.exit(main())
"""
