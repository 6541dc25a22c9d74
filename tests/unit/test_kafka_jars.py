"""What is missing for a broker is named, with what to install."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from demo.broker import BrokerError, KafkaBroker, kafka_available


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that nothing is installed but what is put into the returned `bin`."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("FRAUD_KAFKA_JARS", str(tmp_path / "jars"))
    return programs


def test_missing_java_is_named(bare_machine: Path) -> None:
    reason = kafka_available()

    assert reason is not None
    assert reason.startswith("Java is missing; install a runtime of version 17")


def test_java_that_is_too_old_is_named(bare_machine: Path) -> None:
    _install(bare_machine, "java", "echo 'openjdk version \"11.0.2\"' >&2")

    assert kafka_available() == (
        f"{bare_machine}/java is version 11; Kafka 4 needs 17 or later"
    )


def test_missing_maven_is_named(bare_machine: Path) -> None:
    _install(bare_machine, "java", "echo 'openjdk version \"21.0.1\"' >&2")

    reason = kafka_available()

    assert reason is not None
    assert reason.startswith("Maven is missing")


def test_maven_is_not_needed_where_the_jars_are(bare_machine: Path) -> None:
    _install(bare_machine, "java", "echo 'openjdk version \"21.0.1\"' >&2")
    jars = bare_machine.parent / "jars"
    jars.mkdir()
    (jars / "kafka.jar").touch()

    assert kafka_available() is None


def test_a_broker_without_java_does_not_start(
    bare_machine: Path, tmp_path: Path
) -> None:
    with pytest.raises(BrokerError, match="Java is missing"):
        KafkaBroker(tmp_path / "data").start()


def test_what_maven_said_is_shown_when_it_fails(
    bare_machine: Path, tmp_path: Path
) -> None:
    _install(bare_machine, "java", "echo 'openjdk version \"21.0.1\"' >&2")
    _install(bare_machine, "mvn", "echo 'the network is down'; exit 1")

    with pytest.raises(BrokerError, match="the network is down"):
        KafkaBroker(tmp_path / "data").start()

    assert not list((tmp_path / "jars").glob("*"))


def _install(programs: Path, name: str, script: str) -> None:
    shell = shutil.which("sh", path="/bin:/usr/bin")
    program = programs / name
    program.write_text(f"#!{shell}\n{script}\n")
    program.chmod(0o755)
