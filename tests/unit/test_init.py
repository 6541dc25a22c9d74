"""A drafted spec loads at once, accepts its file, and says what it is guessed from."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.training_builders import write_records
from training.cli import main
from training.dataset import read_dataset
from training.draft import Wishes, draft_toml, guess_roles, read_sample
from training.draft.profile import profiles
from training.draft.report import report_lines
from training.draft.roles import Roles
from training.featurize import feature_matrix
from training.vocabularies import learn_vocabularies
from worker.errors import ExitCode, InvalidConfig
from worker.features import Spec

FORMATS = ["parquet", "csv", "csv.gz", "jsonl", "jsonl.gz"]

Records = list[dict[str, Any]]


def payments(count: int = 200) -> Records:
    """Rows as other people call their columns, and with what they have besides."""
    chance = random.Random(1)
    noon = dt.datetime(2020, 6, 21, 12)  # noqa: DTZ001 - as files write it
    return [
        {
            "trans_num": f"{number:032x}",
            "trans_date_trans_time": str(noon + dt.timedelta(seconds=number)),
            "cc_num": f"cc{number % 17}",
            "merchant": f"Kub & Mann {number % 40}",
            "category": ["gas", "food", "misc_net", None][number % 4],
            "amt": round(chance.uniform(1, 900), 2),
            "first": f"Ann{number}",
            "dob": f"19{50 + number % 17}-03-19",
            "lat": round(33.9 + number % 17 / 1000, 6),
            "long": round(-80.9 - number % 17 / 1000, 6),
            "merch_lat": round(33.1 + number / 7777, 6),
            "merch_long": round(-81.2 + number / 7777, 6),
            "city_pop": 333_497 + number % 17,
            "unix_time": 1_371_816_865 + number,
            "chargeback_date": "2020-08-01",
            "is_fraud": int(number % 20 == 0),
        }
        for number in range(count)
    ]


def roles_of(path: Path, **wishes: str) -> Roles:
    return guess_roles(profiles(read_sample(path)), Wishes(**wishes))


def drafted(path: Path, **wishes: str) -> Spec:
    roles, is_json = roles_of(path, **wishes), ".jsonl" in path.name
    text = draft_toml(roles, name="draft", file=path.name, is_json=is_json)
    return Spec.from_toml(text)


def problems_of(path: Path, **wishes: str) -> list[str]:
    with pytest.raises(InvalidConfig) as refusal:
        roles_of(path, **wishes)
    return list(refusal.value.problems)


def named(columns: list[Any]) -> list[str]:
    return [profile.name for profile in columns]


@pytest.mark.parametrize("suffix", FORMATS)
def test_columns_are_recognised_in_every_format(tmp_path: Path, suffix: str) -> None:
    roles = roles_of(write_records(tmp_path / f"data.{suffix}", payments()))

    assert roles.transaction_id.name == "trans_num"
    assert roles.event_time.name == "trans_date_trans_time"
    assert roles.entity.name == "cc_num"
    assert roles.label is not None
    assert roles.label.name == "is_fraud"
    assert roles.amount is not None
    assert (roles.amount.name, roles.amount.decimals) == ("amt", 2)
    assert named(roles.categories) == ["category"]
    assert named(roles.others) == ["merchant"]
    assert named(roles.births) == ["dob"]
    assert named(roles.numbers) == ["city_pop"]
    assert [tuple(named(list(pair))) for pair in roles.places] == [
        ("lat", "long"),
        ("merch_lat", "merch_long"),
    ]
    assert set(roles.left_out) == {"first", "unix_time", "chargeback_date"}


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_draft_accepts_its_file_and_computes_its_features(
    tmp_path: Path, suffix: str
) -> None:
    path = write_records(tmp_path / f"data.{suffix}", payments())
    if suffix.startswith("jsonl"):  # in a stream each time needs its offset
        rows = payments()
        for row in rows:
            row["trans_date_trans_time"] += "Z"
        path = write_records(path, rows)

    spec = drafted(path)

    data = read_dataset(path, spec)
    assert not data.report.rejections
    assert len(data.events) == 200
    assert "is_fraud" not in [field.name for field in spec.schema.fields]
    learnt = learn_vocabularies(spec, data.events, slice(None))
    assert feature_matrix(learnt, data.events).shape == (200, len(spec.feature_names))
    assert {"category", "age", "distance", "cc_amount_mean_7d"} <= set(
        spec.feature_names
    )


def test_a_person_may_say_what_is_what(tmp_path: Path) -> None:
    path = write_records(tmp_path / "data.csv", payments())

    roles = roles_of(path, entity="merchant", transaction_id="first")

    assert (roles.entity.name, roles.transaction_id.name) == ("merchant", "first")
    assert named(roles.others) == []


def test_all_that_is_missing_is_told_at_once_with_what_comes_near(
    tmp_path: Path,
) -> None:
    rows = [
        {"payment_id": str(i % 3), "unix_time": 1_371_816_865 + i, "customer": str(i)}
        for i in range(30)
    ]

    found = problems_of(write_records(tmp_path / "data.jsonl", rows))

    assert len(found) == 3
    assert "no column can be the transaction id" in found[0]
    assert "'payment_id' has only 3 values in 30 rows" in found[0]
    assert "'unix_time' looks like seconds since 1970" in found[1]
    assert "so there is no history" in found[2]
    assert all("Name one with --" in problem for problem in found)


def test_wrong_wishes_are_all_refused(tmp_path: Path) -> None:
    path = write_records(tmp_path / "data.csv", payments())

    found = problems_of(
        path, transaction_id="cc_num", event_time="dob", entity="no", label="amt"
    )

    assert found == [
        "--label amt: it is not true and false, or 0, 1",
        "--transaction-id cc_num: 'cc_num' has only 17 values in 200 rows",
        "--event-time dob: 'dob' has days without a time of day",
        "--entity no: 'no' is no column that is left for it",
    ]


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("amt", "many", "no column is an amount"),
        ("Amount (EUR)", 1.5, "Amount_EUR=Amount (EUR)"),
        ("amount", 15, 'if they are cents, add encoding = "minor"'),
    ],
)
def test_what_only_a_person_can_know_is_asked(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    column: str,
    value: Any,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "id": f"t{i}",
            "time": f"2020-06-21T12:00:{i:02}Z",
            "customer_id": i % 5,
            column: value if isinstance(value, str) else value + i,
        }
        for i in range(40)
    ]
    write_records(tmp_path / "my data.jsonl", rows)

    assert main(["init", "my data.jsonl"]) == ExitCode.OK

    out, err = capsys.readouterr()
    assert out == "my data.toml\n"
    assert Spec.from_toml(Path("my data.toml").read_text()).name == "my_data"
    assert told in err
    assert "next: fraud-train fit --spec 'my data.toml'" in err


@pytest.mark.parametrize("suffix", FORMATS)
def test_numbers_that_are_names_are_accepted_as_the_file_has_them(
    tmp_path: Path, suffix: str
) -> None:
    """Text from most files; in JSON a number is a number, and a text is none."""
    rows = [
        {
            "id": i,
            "time": f"2020-06-21T12:00:{i:02}Z",
            "customer": 17 + i % 5,
            "mcc": 5411 + i % 2,
            "amount": f"{i}.50" if suffix != "csv" else i + 0.5,
        }
        for i in range(40)
    ]
    path = write_records(tmp_path / f"data.{suffix}", rows)

    spec = drafted(path)

    assert not read_dataset(path, spec).report.rejections
    is_number = suffix.startswith("jsonl")
    assert spec.schema.field("customer").type == ("integer" if is_number else "text")
    assert spec.schema.field("amount").type == "decimal"
    assert "mcc" in spec.feature_names


def test_what_the_stream_needs_besides_is_told(tmp_path: Path) -> None:
    rows = [
        {"id": i, "time": f"2020-06-21 12:00:{i:02}", "customer": i % 5, "amount": i}
        for i in range(40)
    ]

    told = {
        suffix: "\n".join(report_lines(read_sample(path), roles_of(path)))
        for suffix in ("csv", "jsonl")
        for path in [write_records(tmp_path / f"data.{suffix}", rows)]
    }

    assert "time has no offset: files are read as UTC, but in a" in told["csv"]
    assert "id, customer: declared as text" in told["csv"]
    assert "time has no offset: without one" in told["jsonl"]
    assert "declared as text" not in told["jsonl"]


def test_what_exists_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_records(tmp_path / "data.csv", payments())
    spec = tmp_path / "spec.toml"
    spec.write_text("mine")

    assert main(["init", str(path), "--out", str(spec)]) == ExitCode.CONFIG

    assert "exists: remove it, or write another" in capsys.readouterr().err
    assert spec.read_text() == "mine"


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text("[]\nnot json\n")

    with pytest.raises(InvalidConfig, match="holds no rows"):
        read_sample(path)


NAMES = st.sampled_from(
    [
        "id", "tx", "time", "hour", "customer", "merchant_id", "amount", "amount_tail",
        "lat", "long", "home_lat", "home_long", "dob", "category", "is_fraud", "a b",
        "night", "customer_transaction_count_1d", "age", "distance", "é",
    ]
)  # fmt: skip
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**13),
    st.floats(-1e6, 1e6).map(lambda number: round(number, 3)),
    st.floats(allow_nan=False, allow_infinity=False),
    st.dates().map(dt.date.isoformat),
    st.text(max_size=5),
)
COLUMNS = st.dictionaries(NAMES, st.lists(VALUES, min_size=6, max_size=6), max_size=9)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(columns=COLUMNS)
def test_whatever_else_the_file_holds_the_draft_loads(
    tmp_path: Path, columns: dict[str, list[Any]]
) -> None:
    good: dict[str, list[Any]] = {
        "transaction_id": list(range(6)),
        "event_time": [f"2020-06-21T12:00:0{i}Z" for i in range(6)],
        "customer_id": ["a", "a", "b", "b", "b", "a"],
    }
    whole: dict[str, list[Any]] = {**columns, **good}
    rows = [{n: values[row] for n, values in whole.items()} for row in range(6)]
    path = write_records(tmp_path / "data.jsonl", rows)

    wishes = {"transaction_id": "transaction_id", "event_time": "event_time"}
    spec = drafted(path, entity="customer_id", **wishes)

    assert spec.feature_names
