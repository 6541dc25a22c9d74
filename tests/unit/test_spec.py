"""A spec is read strictly, and says what follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys import TOML as JOURNEYS
from tests.transform_builders import EVERYTHING
from worker.errors import InvalidConfig
from worker.features import FeatureTransform, Spec
from worker.features.durations import parse_duration_ms

ONE_ENTITY = Path("tests/one_entity.toml").read_text(encoding="utf-8")
DAY_MS = 86_400_000


def problems_of(text: str) -> list[str]:
    """The sentences with which a spec is refused."""
    with pytest.raises(InvalidConfig) as refusal:
        Spec.from_toml(text)
    return list(refusal.value.problems)


@pytest.mark.parametrize("path", sorted(Path("training/specs").glob("*.toml")), ids=str)
def test_every_shipped_spec_is_read(path: Path) -> None:
    assert Spec.from_toml(path.read_text(encoding="utf-8")).feature_names


def test_a_list_of_windows_is_a_feature_for_each() -> None:
    spec = Spec.from_toml(ONE_ENTITY)

    assert spec.feature_names[3:6] == (
        "customer_transaction_count_1d",
        "customer_transaction_count_7d",
        "customer_transaction_count_30d",
    )


def test_the_horizon_adds_up_along_the_inputs() -> None:
    """A 14-day count over a 30-day mean reaches back 44 days."""
    text = Path("training/specs/customer.toml").read_text(encoding="utf-8")

    spec = Spec.from_toml(text)

    assert spec.horizon_ms == 44 * DAY_MS
    assert spec.retention_ms == 45 * DAY_MS


def test_what_the_model_looks_at_leaves_the_state_as_it_is() -> None:
    """Fewer columns: other features, the same state."""
    spec = Spec.from_toml(ONE_ENTITY)
    fewer = Spec.from_toml(
        ONE_ENTITY.replace('calendar = "night"', 'calendar = "night"\noutput = false')
    )

    assert spec.state_fingerprint == fewer.state_fingerprint
    assert spec.feature_fingerprint != fewer.feature_fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('windows = ["1d", "7d", "30d"]', 'windows = ["1d", "7d", "31d"]'),
        ('allowed_lateness = "1d"', 'allowed_lateness = "2d"'),
        ("decimals = 2", "decimals = 3"),
        ("maximum = 1_000_000", "maximum = 2_000_000"),
        ('max_ahead = "5m"', 'max_ahead = "6m"'),
    ],
)
def test_whatever_decides_the_state_is_in_its_fingerprint(old: str, new: str) -> None:
    assert old in ONE_ENTITY

    changed = Spec.from_toml(ONE_ENTITY.replace(old, new, 1))

    assert Spec.from_toml(ONE_ENTITY).state_fingerprint != changed.state_fingerprint


def test_comments_and_spaces_change_no_fingerprint() -> None:
    spec, other = (
        Spec.from_toml(ONE_ENTITY),
        Spec.from_toml("# a word\n\n" + ONE_ENTITY),
    )

    assert spec.feature_fingerprint == other.feature_fingerprint


def test_all_problems_are_told_at_once() -> None:
    """One error names the place of each."""
    text = (
        ONE_ENTITY.replace('type = "decimal"', 'type = "decimals"')
        .replace('key = "customer_id"', 'key = "client_id"')
        .replace('statistic = "mean"', 'statistic = "median"')
        .replace('calendar = "night"', 'calender = "night"')
        .replace('allowed_lateness = "1d"', 'allowed_lateness = "one day"')
    )

    found = problems_of(text)

    for expected in (
        "field 5 (amount): type is 'decimals'",
        "entity 1 (customer): no [[field]] is named 'client_id'",
        "feature 5 (customer_amount_mean): statistic is 'median'",
        "feature 3 (is_night): exactly one of",
        "allowed_lateness: 'one day' is not a duration",
    ):
        assert any(expected in problem for problem in found), (expected, found)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("[event]", "[event"), "not TOML"),
        (('name = "one-entity"', 'nam = "book"'), "did you mean 'name'"),
        (('of = "amount"', 'of = "total"'), "'total' is neither a field nor"),
        (('of = "amount"\n', ""), "mean needs `of`"),
        (('of = "amount"', 'of = "terminal_id"'), "'terminal_id' is not a number"),
        (('["1d", "7d", "30d"]', '["0d"]'), "longer than nothing"),
        (('name = "is_night"', 'name = "is_weekend"'), "'is_weekend' is taken"),
        (("decimals = 2", "decimals = 12"), "between 0 and 9"),
        (("maximum = 1_000_000", "maximum = 1e15"), "a bound must not exceed"),
        (('time_zone = "UTC"', 'time_zone = "Mars/Base"'), "not an IANA time zone"),
        (("format = 1", "format = 2"), "only 1 is known"),
        (('event_time = "event_time"', 'event_time = "amount"'), "required time"),
        (('entity = "customer"', 'entity = "client"'), "no [[entity]] is named"),
        (("decimals = 2", "decimals = true"), "expected a whole number"),
        (('name = "terminal_id"', 'name = "terminal id"'), "a name is made of"),
        (('field = "amount"', 'field = "customer_id"'), "is not a number"),
    ],
)
def test_a_wrong_spec_says_what_is_wrong(
    change: tuple[str, str], sentence: str
) -> None:
    assert change[0] in ONE_ENTITY

    found = problems_of(ONE_ENTITY.replace(*change, 1))

    assert any(sentence in problem for problem in found), found


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            ('category = "category"', 'category = "kind"'),
            "no [[field]] is named 'kind'",
        ),
        (
            ('category = "category"', 'category = "born"'),
            "'born' is a date, a category",
        ),
        (('category = "category"', 'category = "card"'), "'card' is a name, new ones"),
        (('category = "category"', 'category = "id"'), "'id' is a name, new ones"),
        (("max_values = 3", "max_values = 0"), "between 1 and 254"),
        (("max_values = 3", "max_values = 255"), "between 1 and 254"),
        (('condition = "age"', 'condition = "category"'), "its code is no number"),
        (('of = "kilometres"', 'of = "age"'), "'age' is neither a field nor"),
        (('age = "born"', 'age = "time"'), "counted from a field of type date"),
        (('age = "born"', 'age = "birth"'), "no [[field]] is named 'birth'"),
        (('age = "born"', 'field = "born"'), "'born' is not a number; use `age`"),
        (('category = "code"', 'field = "category"'), "use `category`"),
        (('[["home_lat", "home_long"],', "["), "distance must be two pairs of names"),
        (('["home_lat", "home_long"]', '["home_long", "home_lat"]'), "for a latitude"),
        (('["home_lat", "home_long"]', '["home_lat", "code"]'), "a longitude is a dec"),
        (
            ('["home_lat", "home_long"]', '["home_lat", "x"]'),
            "is named 'x'; there are:",
        ),
        (("minimum = -90\n", ""), "declare the field with a minimum of at least -90"),
        (("decimals = 1", "decimals = 4"), "decimals must lie between 0 and 3"),
        (("]]\ndecimals = 1", "]]"), "decimals is missing: expected a whole number"),
        (
            ('type = "date"', 'type = "date"\nminimum = 0'),
            "a date field has no minimum",
        ),
    ],
)
def test_a_feature_of_the_event_says_what_it_needs(
    change: tuple[str, str], sentence: str
) -> None:
    assert change[0] in JOURNEYS

    found = problems_of(JOURNEYS.replace(*change, 1))

    assert any(sentence in problem for problem in found), found


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('feature = "category"\nvalues = ["a", "a"]', "a value stands twice"),
        ('feature = "category"\nvalues = ["a", 1]', "must be a list of texts"),
        ('feature = "age"\nvalues = []', "'age' is no feature with a `category`"),
        (
            'feature = "category"\nvalues = ["a", "b", "c", "d"]',
            "4 values are more than max_values, which is 3",
        ),
        (
            "[[vocabulary]]\n".join(['feature = "category"\nvalues = []\n'] * 2),
            "'category' has a vocabulary already",
        ),
    ],
)
def test_a_wrong_vocabulary_says_what_is_wrong(table: str, sentence: str) -> None:
    found = problems_of(f"{JOURNEYS}\n[[vocabulary]]\n{table}\n")

    assert any(sentence in problem for problem in found), found


def test_problems_name_the_line_of_the_key_or_of_its_table() -> None:
    """What looks like a table inside of a long text is none."""
    text = (
        f'name = """\n[[feature]]\n[[field]]"""\n{ONE_ENTITY}'.replace(
            'name = "one-entity"\n', ""
        )
        .replace('statistic = "mean"', 'statistic = "median"')
        .replace('calendar = "night"', 'calender = "night"')
        .replace('time_zone = "UTC"', 'time_zone = "Mars"')
        .replace('key = "customer_id"', 'key = "client"')
    )

    found = problems_of(text)

    lines = text.splitlines()
    named = {
        lines[int(problem.split(":")[0].removeprefix("line ")) - 1] for problem in found
    }
    assert named == {
        'statistic = "median"',
        "[[feature]]",
        'time_zone = "Mars"',
        'key = "client"',
    }


def test_a_category_is_in_the_fingerprint_of_the_features_alone() -> None:
    """One that bears its field's name, and a window over the field, do not mix."""
    spec = Spec.from_toml(JOURNEYS)
    learnt = spec.with_vocabularies({"category": ["a"], "merchant_code": []})
    other = spec.with_vocabularies({"category": ["b"], "merchant_code": []})

    assert [f.name for f in spec.unlearnt] == ["category", "merchant_code"]
    assert learnt.unlearnt == ()
    assert spec.state_fingerprint == learnt.state_fingerprint == other.state_fingerprint
    fingerprints = {s.feature_fingerprint for s in (spec, learnt, other)}
    assert len(fingerprints) == 3


@pytest.mark.parametrize(
    ("change", "is_state"),
    [
        (("decimals = 1", "decimals = 2"), True),
        (('["shop_lat", "shop_long"]', '["home_lat", "shop_long"]'), True),
        (('time_zone = "Pacific/Auckland"', 'time_zone = "UTC"'), True),
        (('type = "date"', 'type = "date"\nrequired = true'), True),
        (("max_values = 3", "max_values = 4"), False),
        (('category = "code"', 'category = "category"'), False),
    ],
)
def test_the_new_features_decide_the_state_where_windows_see_them(
    change: tuple[str, str], *, is_state: bool
) -> None:
    text = JOURNEYS.replace('type = "date"\nrequired = false', 'type = "date"')
    before = Spec.from_toml(text)

    after = Spec.from_toml(text.replace(*change, 1))

    if change[1].startswith('type = "date"'):
        after = Spec.from_toml(JOURNEYS)
    assert (before.state_fingerprint != after.state_fingerprint) == is_state
    assert before.feature_fingerprint != after.feature_fingerprint


def test_a_spec_without_its_vocabulary_computes_nothing() -> None:
    with pytest.raises(InvalidConfig, match="'category' has no vocabulary yet"):
        FeatureTransform(Spec.from_toml(JOURNEYS))


def test_a_value_feeds_a_window_only_at_declared_decimals() -> None:
    """Else sums would depend on the path."""
    text = EVERYTHING.replace("decimals = 3", "")

    assert any("needs `decimals`" in problem for problem in problems_of(text))


def test_a_key_that_is_nearly_a_comparison_is_named_as_it_is_written() -> None:
    text = EVERYTHING.replace("above = 1.2", "abov = 1.2")

    assert any(
        problem.endswith("unknown key 'abov', did you mean 'above'?")
        for problem in problems_of(text)
    )


def test_a_feature_refers_only_to_those_before_it() -> None:
    text = EVERYTHING.replace('condition = "ratio"', 'condition = "ratio_mean"')

    assert any("not an earlier feature" in problem for problem in problems_of(text))


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [("250ms", 250), ("90s", 90_000), ("5m", 300_000), ("2w", 1_209_600_000)],
)
def test_durations_have_units(text: str, expected_ms: int) -> None:
    assert expected_ms == parse_duration_ms(text)


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1.5d", "1 d", "1y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration_ms(text)
