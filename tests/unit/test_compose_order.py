"""The compose file is one by its specification, and starts things in a right order."""

from __future__ import annotations

import datetime as dt
import json
import re
from copy import deepcopy
from typing import Any

import jsonschema
import pytest
import yaml

from demo import endless
from demo.endless import ORIGIN, REACHED
from demo.traffic import HISTORY_DAYS
from deploy.alerts import BUDGET
from tests.conftest import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PAYMENTS = SERVICES["payments"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()

SCHEMA = json.loads((ROOT / "tests" / "vendored" / "compose-spec.json").read_text())

#: These end by themselves, so nobody asks how they are.
ONE_SHOT = {"topics"}


def problems(document: dict[str, Any]) -> list[str]:
    checker = jsonschema.Draft202012Validator(SCHEMA)
    return [error.message for error in checker.iter_errors(document)]


def test_it_is_a_compose_file_by_the_specifications_schema() -> None:
    assert problems(COMPOSE) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("services", "worker", "healthchek"), {"test": "true"}),
        (("services", "worker", "healthcheck", "retries"), [3]),
        (("services", "worker", "depends_on", "topics", "condition"), "started"),
        (("services", "worker", "read_only"), {"yes": True}),
        (("volume",), {"kafka-data": None}),
    ],
)
def test_the_schema_sees_what_is_wrong(place: tuple[str, ...], value: object) -> None:
    document = deepcopy(COMPOSE)
    *path, last = place
    target = document
    for name in path:
        target = target[name]
    target[last] = value

    assert problems(document)


def waits_for(service: str, *, even_if_optional: bool = True) -> dict[str, str]:
    """What a service waits for, and until when."""
    return {
        name: each["condition"]
        for name, each in SERVICES[service].get("depends_on", {}).items()
        if even_if_optional or each.get("required", True)
    }


def test_things_start_in_the_order_in_which_they_need_each_other() -> None:
    assert waits_for("topics") == {"kafka": "service_healthy"}
    assert waits_for("worker") == {"topics": "service_completed_successfully"}
    assert waits_for("payments") == {"worker": "service_healthy"}
    assert waits_for("grafana") == {"prometheus": "service_healthy"}


def test_history_is_answered_before_anything_is_watched() -> None:
    """Windows that fill are unlike those of training, and would raise alerts."""
    assert waits_for("prometheus")["payments"] == "service_healthy"
    filled = ORIGIN + dt.timedelta(days=HISTORY_DAYS)
    assert f'read() > "{filled.isoformat()}"' in PAYMENTS["healthcheck"]["test"][-1]


def test_what_watches_starts_also_where_a_worker_does_not() -> None:
    """Else nobody would be told of it."""
    seen, left = set[str](), ["prometheus", "grafana"]
    while left:
        waits = waits_for(left.pop(), even_if_optional=False)
        seen |= set(waits)
        left += waits

    assert seen == {"alertmanager", "prometheus"}
    assert waits_for("payments", even_if_optional=False) == {}


def test_everything_that_stays_can_be_asked_how_it_is() -> None:
    asked = {name for name, each in SERVICES.items() if "healthcheck" in each}

    assert asked == set(SERVICES) - ONE_SHOT


# Payments that flow by themselves

OPTIONS = dict(option.split("=") for option in PAYMENTS["command"])


def test_payments_are_sent_by_a_program_that_takes_these_options() -> None:
    assert PAYMENTS["entrypoint"] == ["python", "-m", endless.__name__]

    arguments = endless.parser().parse_args(PAYMENTS["command"])

    worker = SERVICES["worker"]["environment"]
    assert arguments.bootstrap_servers == worker["FRAUD_BOOTSTRAP_SERVERS"]
    assert arguments.rate > 0


def test_payments_come_from_the_workers_image_without_rights() -> None:
    for name in ("image", "build", "read_only", "tmpfs", "cap_drop", "security_opt"):
        assert PAYMENTS[name] == SERVICES["worker"][name], name


def test_what_was_sent_is_kept_where_the_user_may_write() -> None:
    """The image has a directory of that user's, whose rights a volume takes."""
    (mount,) = PAYMENTS["volumes"]
    volume, directory = mount.split(":")
    (working,) = re.findall(r"^WORKDIR (\S+)\n", DOCKERFILE, re.MULTILINE)[-1:]

    assert volume in COMPOSE["volumes"]
    assert directory == OPTIONS["--directory"] == working
    assert f"install -d -o fraud -g fraud {directory}\n" in DOCKERFILE


def test_the_sender_is_well_while_it_notes_what_it_sent() -> None:
    *_, program = PAYMENTS["healthcheck"]["test"]
    names = re.findall(r'(?:stat|open)\("(\w+)"\)', program)
    (seconds,) = re.findall(r"< (\d+)$", program, re.MULTILINE)

    compile(program, "health check", "exec")
    assert names == [REACHED, REACHED]
    assert endless.PAYMENTS_AT_ONCE / float(OPTIONS["--rate"]) < int(seconds) / 2


def test_so_few_payments_are_broken_that_nobody_is_called() -> None:
    assert 0 < float(OPTIONS["--broken"]) < BUDGET


# The image


def test_both_parts_of_the_image_have_one_base() -> None:
    """Kernels that one Python compiled are of no use to another."""
    (base,) = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)

    assert stages == ["${BASE}", "${BASE}"]
    assert re.fullmatch(r"python:3\.1[123]-slim-\w+", base)


def test_nothing_that_builds_is_left_in_the_image() -> None:
    """No package manager of Python's, and no compiler, which a slim base lacks."""
    *_, last = DOCKERFILE.split("\nFROM ")

    assert "pip uninstall" in last
    assert "pip install" not in last
    assert not re.search(r"\b(apt|apt-get|gcc|make)\b", DOCKERFILE)
    assert DOCKERFILE.count("pip install") == DOCKERFILE.count("--no-cache-dir")
