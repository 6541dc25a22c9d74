"""Vocabularies are learnt where the model learns, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training_builders import SPEC, small_history
from training.evaluate import evaluate, week_windows
from training.featurize import feature_matrix
from training.fit import FitPlan, Prepared, fit, prepare
from training.split import Windows
from training.vocabularies import learn_vocabularies, most_frequent
from worker.errors import InvalidConfig
from worker.features import FeatureTransform, Spec
from worker.features.declarations import CategoryFeature
from worker.records import MISSING, EventBatch

PLAN = FitPlan(alerts_per_day=10)

#: Terminals as if they were categories: too many for the vocabulary.
SPEC_TEXT = SPEC.replace(
    "[[feature]]",
    """[[field]]
name = "terminal_id"
type = "text"
[[feature]]
name = "shop"
category = "terminal_id"
max_values = 40
[[feature]]""",
    1,
)
SPEC_WITH_CATEGORY = Spec.from_toml(SPEC_TEXT)


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> list[Windows]:
    _, history = small_history(tmp_path_factory.mktemp("data"), SPEC_WITH_CATEGORY)
    return week_windows(history, PLAN, weeks=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, weeks: list[Windows]) -> Prepared:
    directory = tmp_path_factory.mktemp("data")
    events, history = small_history(directory, SPEC_WITH_CATEGORY)
    return prepare(SPEC_WITH_CATEGORY, events, history, weeks)


def vocabulary(spec: Spec) -> tuple[str, ...]:
    feature = spec.features[0]
    assert isinstance(feature, CategoryFeature)
    assert feature.vocabulary is not None
    return feature.vocabulary


def with_terminals(events: EventBatch, rows: slice, terminal: str) -> EventBatch:
    """The events, all those of some rows at one terminal."""
    terminals = list(events.columns["terminal_id"])
    terminals[rows] = [terminal] * len(terminals[rows])
    columns = {**events.columns, "terminal_id": terminals}
    return EventBatch(events.transaction_ids, events.event_time_ms, columns)


def test_the_most_frequent_come_first_and_of_equals_the_first_in_order() -> None:
    feature = CategoryFeature("x", "x", max_values=3)
    texts: list[str | None] = ["d", None, "b", "c", "a", "c", "b", None, None]

    assert most_frequent(texts, feature) == ("b", "c", "a")
    assert most_frequent(texts[::-1], feature) == ("b", "c", "a")
    assert most_frequent([None], feature) == ()
    assert most_frequent(np.array([7, MISSING, 7, -1]), feature) == ("7", "-1")


def test_only_the_training_window_teaches(data: Prepared, weeks: list[Windows]) -> None:
    """What other rows hold changes no vocabulary: neither later ones nor earlier."""
    times, window = data.events.event_time_ms, weeks[0]
    first, until = np.searchsorted(times, [window.first_ms, window.until_ms]).tolist()
    learnt = vocabulary(data.as_learnt_in(window).learnt)

    for rows in (slice(first), slice(until, None)):
        other = replace(data, events=with_terminals(data.events, rows, "new"))
        assert vocabulary(other.as_learnt_in(window).learnt) == learnt
    inside = with_terminals(data.events, slice(first, until), "new")
    found = replace(data, events=inside).as_learnt_in(window)
    assert vocabulary(found.learnt) == ("new",)


def test_each_week_learns_its_own(data: Prepared, weeks: list[Windows]) -> None:
    earlier, later = (data.as_learnt_in(window) for window in weeks)

    assert len(vocabulary(earlier.learnt)) == len(vocabulary(later.learnt)) == 40
    assert set(vocabulary(earlier.learnt)) != set(vocabulary(later.learnt))
    again = later.as_learnt_in(weeks[0])
    assert again.learnt == earlier.learnt
    assert again.X.tobytes() == earlier.X.tobytes()


def test_weeks_are_evaluated_as_if_each_were_alone(
    data: Prepared, weeks: list[Windows]
) -> None:
    together = [done.figures() for done in evaluate(data, weeks, PLAN)]

    alone = [fit(data.as_learnt_in(week), week, PLAN).figures() for week in weeks]
    assert together == alone
    assert together[0] != together[1]


def test_the_codes_are_those_of_the_workers_transform(
    data: Prepared, weeks: list[Windows]
) -> None:
    coded = data.as_learnt_in(weeks[1])

    expected = FeatureTransform(coded.learnt).transform(coded.events).X

    assert coded.X.tobytes() == expected.tobytes()
    assert expected.tobytes() == feature_matrix(coded.learnt, coded.events).tobytes()
    codes = set(coded.X[:, 0].tolist())
    assert codes == set(map(float, range(41)))


def test_what_the_author_wrote_is_not_learnt_again(
    data: Prepared, weeks: list[Windows]
) -> None:
    own = SPEC_WITH_CATEGORY.with_vocabularies({"shop": ["1", "2"]})

    learnt = learn_vocabularies(own, data.events, slice(None))

    assert learnt is own
    made = replace(data, spec=own, learnt=own)
    assert made.as_learnt_in(weeks[0]) is made


def test_nothing_is_computed_before_it_is_learnt(data: Prepared) -> None:
    with pytest.raises(InvalidConfig, match="'shop' has no vocabulary yet"):
        feature_matrix(SPEC_WITH_CATEGORY, data.events)
