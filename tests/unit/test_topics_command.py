"""topics makes what is missing, the same each time, and prints what it would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commanding import run_command
from tests.small_models import ONE_ENTITY, small_model
from worker.commands import topics
from worker.config import Settings
from worker.errors import InvalidConfig, StateUnusable
from worker.features import Spec
from worker.kafka.admin import TopicFacts

SPEC = Spec.from_toml(ONE_ENTITY)


def facts(name: str, partitions: int) -> TopicFacts:
    return TopicFacts(name, partitions, 1, None, None)


def test_payments_are_kept_twice_as_long_as_the_windows_reach() -> None:
    plans = topics.plans(Settings(), SPEC, 8, 3)

    days = int(plans[0].config["retention.ms"]) / 86_400_000
    assert [plan.name for plan in plans] == ["transactions", "scores", "dead-letters"]
    assert {plan.partition_count for plan in plans} == {8}
    assert 62 < days < 62.1


def test_short_windows_still_leave_a_week_for_an_outage() -> None:
    short = ONE_ENTITY.replace('windows = ["1d", "7d", "30d"]', 'windows = ["1h"]')

    plan = topics.plans(Settings(), Spec.from_toml(short), 8, None)[0]

    assert int(plan.config["retention.ms"]) == 7 * 86_400_000


def test_print_asks_no_broker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_model(tmp_path)
    settings = Settings(bootstrap_servers="nowhere:1", models_dir=tmp_path)

    code = run_command(
        topics, settings, "--print", "--partitions", "8", "--replication-factor", "3"
    )

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[1] == (
        "kafka-topics.sh --bootstrap-server nowhere:1 --create --if-not-exists "
        "--topic scores --partitions 8 --replication-factor 3 "
        "--config cleanup.policy=delete --config retention.ms=5357400000"
    )
    assert len(lines) == 3


def test_the_number_of_partitions_is_that_of_the_input_where_it_exists() -> None:
    existing = {"transactions": facts("transactions", 5)}

    assert topics.shared_partitions(None, existing, Settings()) == 5
    assert topics.shared_partitions(5, existing, Settings()) == 5
    assert topics.shared_partitions(None, {}, Settings()) == topics.DEFAULT_PARTITIONS


@pytest.mark.parametrize("wanted", [None, 5, 6])
def test_unequal_numbers_are_refused(wanted: int | None) -> None:
    existing = {"transactions": facts("transactions", 5), "scores": facts("scores", 6)}

    with pytest.raises(StateUnusable, match="cannot be changed"):
        topics.shared_partitions(wanted, existing, Settings())


@pytest.mark.parametrize("flag", ["--partitions", "--replication-factor"])
def test_numbers_below_one_are_refused(flag: str) -> None:
    with pytest.raises(InvalidConfig, match=f"{flag} 0: expected a number from 1"):
        run_command(topics, Settings(), flag, "0")
