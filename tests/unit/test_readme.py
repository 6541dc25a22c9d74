"""The README says what the code does: tables, commands, links, targets, samples."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import get_args

import jsonschema
import pytest

from tests.conftest import ROOT
from tests.readme import README, block, renewed, tables
from training.cli import main as fraud_train
from worker.bundle import read_bundle
from worker.cli import EXIT_MEANINGS
from worker.cli import main as fraud_worker
from worker.codec import DEAD_LETTER_HEADERS, Decoder, score_schema
from worker.codec.labels import label_schema
from worker.config import Settings
from worker.features import Spec
from worker.features.declarations import CalendarPart, Statistic
from worker.features.feature_reader import KINDS
from worker.records import FieldType

TEXT = README.read_text()

#: Fenced blocks by language; what a person reads or copies.
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)

PROGRAMS: dict[str, Callable[[list[str]], int]] = {
    "fraud-worker": fraud_worker,
    "fraud-train": fraud_train,
}

#: A program, its command, and what follows on the line.
CALL = re.compile(r"(?<!-t )\b(fraud-worker|fraud-train) ([a-z]+)\b([^\n|#]*)")
CALLS = sorted(
    {
        (program, command, flags)
        for quoted in [*re.findall(r"`([^`\n]+)`", TEXT), *(b for _, b in FENCED)]
        for program, command, rest in CALL.findall(quoted)
        for flags in [tuple(re.findall(r"--[a-z-]+", rest))]
    }
)


@pytest.mark.parametrize("name", ["settings", "metrics"])
def test_the_tables_are_those_of_the_code(name: str) -> None:
    """To write them again: python -m tests.readme."""
    assert block(TEXT, name) == tables()[name]


def test_what_is_written_again_has_the_new_tables_and_keeps_the_rest() -> None:
    spoilt = TEXT.replace("| `FRAUD_GROUP` |", "| `FRAUD_GRUPPE` |")

    assert spoilt != TEXT
    assert renewed(spoilt) == TEXT


def test_commands_are_looked_at() -> None:
    named = {(program, command) for program, command, _ in CALLS}

    assert {("fraud-worker", "run"), ("fraud-train", "publish")} < named
    assert len(named) >= 12


@pytest.mark.parametrize(("program", "command", "flags"), CALLS)
def test_every_command_exists_and_has_these_flags(
    program: str,
    command: str,
    flags: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        PROGRAMS[program]([command, "--help"])

    assert ended.value.code == 0
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert set(flags) - known == set()


def test_every_kind_of_feature_and_of_field_is_explained() -> None:
    own = TEXT.partition("### Your own schema\n")[2].partition("\n### ")[0]
    quoted = set(re.findall(r"`(\w+)`", own))

    kinds = {*KINDS, *Statistic, *CalendarPart, *get_args(FieldType)}
    assert {str(kind) for kind in kinds} - quoted == set()


def test_every_setting_exists() -> None:
    known = set(Settings().shown())
    named = {n for n in re.findall(r"\bFRAUD_[A-Z_]+\b", TEXT) if "KAFKA_" not in n}

    assert named == known


def test_every_link_leads_to_a_file() -> None:
    links = [t for t in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in t]

    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_every_guarantee_is_shown_by_tests_that_exist() -> None:
    """The link's text is the name of the module that it leads to."""
    guarantees = _section("What it guarantees")
    rows = re.findall(r"^\| (?!claim|---)([^|]+) \|(.*)$", guarantees, re.MULTILINE)
    shown = {claim: re.findall(r"\[(\w+)\]\(([^)]+)\)", rest) for claim, rest in rows}

    assert len(shown) >= 9
    assert [claim for claim, links in shown.items() if not links] == []
    for name, path in (link for links in shown.values() for link in links):
        assert path == f"{path.rpartition('/')[0]}/{name}.py"
        assert "\ndef test_" in (ROOT / path).read_text(), path


def test_every_make_target_exists() -> None:
    known = set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )
    named = set(re.findall(r"(?:^|`|\$ )make ([a-z-]+)", TEXT, re.MULTILINE))

    assert {"demo", "test", "bench"} < named
    assert named - known == set()


def test_every_exit_code_is_explained_as_the_command_does() -> None:
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| [^|]+ \|$", TEXT, re.MULTILINE)

    meanings = {int(code): meaning for code, meaning in EXIT_MEANINGS.items()}
    assert {int(code): text for code, text in rows if int(code) != 130} == meanings


def test_the_consumer_is_python() -> None:
    (source,) = [body for language, body in FENCED if language == "python"]

    compile(source, "README.md", "exec")
    assert '"isolation.level": "read_committed"' in source


def test_the_samples_are_a_payment_a_score_and_a_dead_letter() -> None:
    payment, score, rejected, _ = json_samples()
    toml = read_bundle(ROOT / "models").files["transform.toml"].decode()
    decoder = Decoder(Spec.from_toml(toml).schema)

    accepted = decoder.decode([b"7"], [payment], [-1])
    refused = decoder.decode([b"18"], [rejected], [-1])

    assert len(accepted.rejections) == 0
    jsonschema.validate(json.loads(score), score_schema())
    assert json.loads(score)["transaction_id"] == json.loads(payment)["transaction_id"]
    (rejection,) = refused.rejections
    headers = _headers()
    assert headers["dlq.reason"] == rejection.reason
    assert headers["dlq.field"] == rejection.field
    assert int(headers["dlq.payload.size"]) == len(rejected)


def test_a_label_of_the_sample_is_one_of_its_payment() -> None:
    payment, *_, label = json_samples()
    spec = Spec.from_toml((ROOT / "training/specs/handbook.toml").read_text())
    schema = label_schema(spec.schema, ["terminal_id"])

    decoded = Decoder(schema, key_is_entity=None).decode([None], [label], [-1])

    same = json.loads(payment).items() & json.loads(label).items()
    assert len(decoded.rejections) == 0
    assert {name for name, _ in same} == {"transaction_id", "event_time", "terminal_id"}


def json_samples() -> list[bytes]:
    return [body.strip().encode() for language, body in FENCED if language == "json"]


def test_the_headers_of_the_sample_are_all_that_there_are() -> None:
    assert list(_headers()) == list(DEAD_LETTER_HEADERS)


def _section(title: str) -> str:
    """Return what stands under a heading."""
    (_, rest) = TEXT.split(f"## {title}\n")
    return rest.partition("\n## ")[0]


def _headers() -> dict[str, str]:
    (body,) = [body for _, body in FENCED if body.startswith("dlq.reason")]
    return dict(re.findall(r"^(\S+) +(\S+)$", body, re.MULTILINE))
