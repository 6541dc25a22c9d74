"""Settings: read once, every problem told at once, no secret ever shown."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.config import (
    Secret,
    Settings,
    add_flags,
    overrides_of,
    settings_table,
    variable,
)
from worker.config.client_properties import OWN_SETTINGS, REFUSED, variable_of
from worker.config.settings import declared
from worker.errors import InvalidConfig

NAMES = [name for name, _ in declared()]


def problems_of(
    environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> list[str]:
    with pytest.raises(InvalidConfig) as raised:
        Settings.from_env(environ, overrides or {})
    return list(raised.value.problems)


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


def test_every_setting_is_read_from_its_variable() -> None:
    settings = Settings.from_env(
        {
            "FRAUD_BOOTSTRAP_SERVERS": "a:9092,b:9093",
            "FRAUD_INSTANCE": "worker-3",
            "FRAUD_STATIC": "no",
            "FRAUD_MODELS_DIR": "/srv/models",
            "FRAUD_START": "Earliest",
            "FRAUD_THRESHOLD": "0.25",
            "FRAUD_MAX_BATCH": "100",
            "FRAUD_METRICS_PORT": "-1",
        }
    )

    expected = Settings(
        bootstrap_servers="a:9092,b:9093",
        instance="worker-3",
        static=False,
        models_dir=Path("/srv/models"),
        start="earliest",
        threshold=0.25,
        max_batch=100,
        metrics_port=-1,
    )
    assert settings == expected


def test_variables_of_other_programs_are_ignored() -> None:
    assert Settings.from_env({"PATH": "/bin", "XFRAUD_GROUP": "x"}) == Settings()


def test_an_empty_variable_counts_as_absent() -> None:
    assert Settings.from_env({variable(name): "" for name in NAMES}) == Settings()


def test_a_flag_beats_its_variable() -> None:
    settings = Settings.from_env({"FRAUD_MAX_BATCH": "7"}, {"max_batch": "8"})

    assert settings.max_batch == 8


def test_overrides_may_be_values_as_well_as_texts() -> None:
    settings = Settings.from_env(
        {}, {"static": False, "health_port": 0, "state_dir": Path("x"), "group": None}
    )

    expected = Settings(static=False, health_port=0, state_dir=Path("x"))
    assert settings == expected


def test_one_error_lists_every_problem_with_key_value_and_expectation() -> None:
    problems = problems_of(
        {
            "FRAUD_MAX_BATCH": "0",
            "FRAUD_THRESHOLD": "nan",
            "FRAUD_START": "yesterday",
            "FRAUD_SCORES_TOPIC": "a b",
        },
        {"metrics_port": "http"},
    )

    assert problems == [
        (
            "FRAUD_SCORES_TOPIC=a b: expected a topic's name: letters, digits, '.', "
            "'_' and '-', at most 249"
        ),
        "FRAUD_START=yesterday: expected committed, earliest or latest",
        "FRAUD_THRESHOLD=nan: expected a number from 0 to 1",
        "FRAUD_MAX_BATCH=0: expected a whole number from 1 to 65536",
        "--metrics-port http: expected a whole number from -1 to 65535",
    ]


def test_a_wrong_configuration_exits_with_code_2() -> None:
    assert int(InvalidConfig(["x"]).exit_code) == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("FRAUD_BOOTSTRAP_SERVERS", "broker"),
        ("FRAUD_BOOTSTRAP_SERVERS", "broker:9092,"),
        ("FRAUD_GROUP", "two words"),
        ("FRAUD_STATIC", "maybe"),
        ("FRAUD_LABELS_TOPIC", ".."),
        ("FRAUD_MAX_BATCH", "4096.0"),
        ("FRAUD_MAX_BATCH", "99999999999999999999"),
        ("FRAUD_THRESHOLD", "1.01"),
        ("FRAUD_COMMIT_INTERVAL_SECONDS", "-0.1"),
        ("FRAUD_COMMIT_INTERVAL_SECONDS", "inf"),
        ("FRAUD_HEALTH_PORT", "65536"),
        ("FRAUD_LOG_LEVEL", "loud"),
    ],
)
def test_a_value_outside_of_its_kind_is_a_problem(key: str, value: str) -> None:
    (problem,) = problems_of({key: value})

    assert problem.startswith(f"{key}={value}: expected ")


def test_brackets_hold_addresses_with_colons() -> None:
    settings = Settings.from_env({"FRAUD_BOOTSTRAP_SERVERS": "[::1]:9092"})

    assert settings.bootstrap_servers == "[::1]:9092"


def test_an_unknown_setting_names_the_nearest() -> None:
    problems = problems_of({"FRAUD_MAX_BACTH": "9", "FRAUD_QQQQ": "secret-ish"})

    assert problems == [
        "FRAUD_MAX_BACTH: no such setting; did you mean FRAUD_MAX_BATCH?",
        "FRAUD_QQQQ: no such setting",
    ]


def test_topics_must_differ_from_each_other() -> None:
    assert problems_of({"FRAUD_SCORES_TOPIC": "transactions"}) == [
        (
            "FRAUD_SCORES_TOPIC=transactions: expected another topic than "
            "FRAUD_TRANSACTIONS_TOPIC"
        )
    ]


def test_metrics_and_probes_need_a_port_each() -> None:
    assert problems_of({"FRAUD_HEALTH_PORT": "9108"}) == [
        "FRAUD_HEALTH_PORT=9108: expected another port than FRAUD_METRICS_PORT"
    ]


@pytest.mark.parametrize("port", ["0", "-1"])
def test_any_port_or_none_may_be_asked_for_twice(port: str) -> None:
    settings = Settings.from_env(
        {"FRAUD_HEALTH_PORT": port, "FRAUD_METRICS_PORT": port}
    )

    assert settings.health_port == settings.metrics_port == int(port)


def test_client_properties_pass_through() -> None:
    settings = Settings.from_env(
        {
            "FRAUD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "FRAUD_KAFKA_SASL_PASSWORD": "hunter2",
        },
        {"kafka": ["client.rack=b"]},
    )

    assert settings.client_properties() == {
        "security.protocol": "SASL_SSL",
        "sasl.password": "hunter2",
        "client.rack": "b",
    }


@pytest.mark.parametrize("name", sorted(OWN_SETTINGS | REFUSED))
def test_what_the_guarantee_rests_on_cannot_be_passed_through(name: str) -> None:
    (from_environ,) = problems_of({variable_of(name): "x"})
    (from_flag,) = problems_of({}, {"kafka": [f"{name}=x"]})

    why = OWN_SETTINGS.get(name) or REFUSED[name]
    assert from_environ.startswith(f"{variable_of(name)}: {name} ")
    assert from_flag.startswith(f"--kafka {name}: {name} ")
    assert from_environ.endswith(why)


def test_a_refused_property_is_refused_in_capitals_too() -> None:
    assert len(problems_of({}, {"kafka": ["Enable.Auto.Commit=true"]})) == 1


def test_a_secret_on_the_command_line_is_refused_and_not_repeated() -> None:
    (problem,) = problems_of({}, {"kafka": ["sasl.password=hunter2"]})

    assert problem == (
        "--kafka sasl.password: a command line can be read by others; "
        "set FRAUD_KAFKA_SASL_PASSWORD"
    )


def test_a_property_without_value_is_a_problem() -> None:
    assert problems_of({}, {"kafka": ["client.rack"]}) == [
        "--kafka client.rack: expected PROPERTY=VALUE"
    ]


@pytest.mark.parametrize(
    "name",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.key.pem",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.assertion.private.key.passphrase",
    ],
)
def test_secrets_are_in_no_text_that_settings_make(name: str) -> None:
    settings = Settings.from_env({variable_of(name): "hunter2"})

    shown = f"{settings!r} {settings} {settings.shown()} {settings.kafka}"
    assert "hunter2" not in shown
    assert settings.shown()[variable_of(name)] == "******"
    assert settings.client_properties() == {name: "hunter2"}


@given(st.text(min_size=1))
def test_a_secret_shows_stars_however_it_is_formatted(text: str) -> None:
    secret = Secret(text)

    assert f"{secret} {secret!r} {secret!s}" == "****** Secret('******') ******"
    assert secret.reveal() == text
    assert secret == Secret(text)
    assert secret != text


def test_settings_cannot_be_changed() -> None:
    settings = Settings()

    with pytest.raises(FrozenInstanceError):
        settings.group = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.kafka["a"] = "b"  # type: ignore[index]


def test_shown_settings_can_be_read_back() -> None:
    settings = Settings.from_env(
        {"FRAUD_STATIC": "false", "FRAUD_THRESHOLD": "0.1", "FRAUD_INSTANCE": "a"}
    )

    assert Settings.from_env(settings.shown()) == settings


def test_every_setting_has_a_flag_that_changes_it() -> None:
    samples = {
        bool: lambda name: [f"--no-{name}" if "static" in name else f"--{name}"],
        int: lambda name: [f"--{name}", "17"],
        float: lambda name: [f"--{name}", "0.125"],
        str: lambda name: [f"--{name}", _other(name)],
        Path: lambda name: [f"--{name}", "elsewhere"],
        type(None): lambda name: [f"--{name}", "0.5"],
    }
    default = Settings()
    for name in NAMES:
        parser = argparse.ArgumentParser()
        add_flags(parser)
        value = getattr(default, name)
        kind = Path if isinstance(value, Path) else type(value)
        args = parser.parse_args(samples[kind](name.replace("_", "-")))

        settings = Settings.from_env({}, overrides_of(args))

        changed = [
            field.name
            for field in fields(Settings)
            if getattr(settings, field.name) != getattr(default, field.name)
        ]
        assert changed == [name]


def _other(name: str) -> str:
    return {
        "bootstrap-servers": "other:1",
        "start": "latest",
        "guarantee": "at-least-once",
        "log-format": "json",
        "log-level": "debug",
        "metrics-address": "0.0.0.0",  # noqa: S104 - nothing listens
        "health-address": "0.0.0.0",  # noqa: S104 - nothing listens
    }.get(name, "other")


def test_flags_that_are_not_given_override_nothing() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--partitions", default=3)
    add_flags(parser)

    assert overrides_of(parser.parse_args([])) == {}


def test_a_command_may_offer_some_settings_only() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, ["models_dir"])

    assert "--models-dir" in parser.format_help()
    assert "--group" not in parser.format_help()
    assert "--kafka" not in parser.format_help()


def test_the_help_says_what_each_setting_does_and_its_variable() -> None:
    parser = argparse.ArgumentParser(prog="x")
    add_flags(parser)
    text = " ".join(parser.format_help().split())

    for name, known in declared():
        assert known.help in text
        assert f"[{variable(name)}]" in text


def test_the_table_has_a_row_for_every_setting() -> None:
    rows = settings_table().splitlines()

    named = [row.split("`")[1] for row in rows[2:]]
    assert named == [*map(variable, NAMES), "FRAUD_KAFKA_*"]
    assert all(row.count("|") - row.count("\\|") == 4 for row in rows)


def test_no_default_depends_on_the_machine_but_the_host_name() -> None:
    assert "the host's name" in settings_table()
    assert Settings().instance not in settings_table().split()
