"""A report is one page that loads nothing, shows all sections, and is right."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.training_builders import small_history, small_spec
from training.featurize import feature_matrix
from training.fit import FitPlan, Prepared, fit
from training.importance import (
    feature_groups,
    permutation_drops,
    refits_without,
)
from training.labels import LabelReport
from training.report import (
    ReportFacts,
    earlier_windows,
    gather_facts,
    render_report,
)
from training.report.scales import linear, log_odds, logarithmic
from training.split import DAY_MS, Windows, latest_until_ms, split
from worker.scoring import Scorer

PLAN = FitPlan(alerts_per_day=10)

SECTIONS = [
    "budget",
    "distribution",
    "calibration",
    "weeks",
    "importance",
    "refits",
    "delay",
    "history",
]

#: Elements that a parser must see closed before another of their parent ends.
_ALONE = {"meta", "br", "!doctype"}


class Page(HTMLParser):
    """Reads a page, and holds what is wrong with its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.figures_with_plots = 0
        self.addresses: list[str] = []
        self.kinds: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.kinds.add(tag)
        facts = dict(attrs)
        self.ids += [facts["id"] or ""] if "id" in facts else []
        self.addresses += [
            v or "" for n, v in attrs if n in {"src", "href", "xlink:href"}
        ]
        self.figures_with_plots += tag == "svg" and "figure" in self.open
        if tag not in _ALONE:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    spec = small_spec()
    events, history = small_history(tmp_path_factory.mktemp("data"), spec)
    return Prepared(spec, spec, events, history, feature_matrix(spec, events))


@pytest.fixture(scope="module")
def facts(data: Prepared) -> ReportFacts:
    until_ms = latest_until_ms(data.history, PLAN.lengths)
    windows = Windows.ending(until_ms, PLAN.lengths)
    labels = LabelReport(
        labels=900,
        transactions=len(data.events),
        labelled=900,
        frauds=int(data.history.fraud.sum()),
        unknown=0,
        repeated=0,
        delays_ms=np.zeros(0, np.int64),
        rejections=(),
        notices=(),
    )
    return gather_facts(
        small_spec(),
        data,
        fit(data, windows, PLAN),
        PLAN,
        earlier=earlier_windows(data.history, windows, PLAN),
        history=data.history,
        labels=labels,
    )


@pytest.fixture(scope="module")
def page(facts: ReportFacts) -> str:
    return render_report(facts, version="2018-05-16.1")


# The page


def test_all_sections_are_there_each_with_a_plot(page: str) -> None:
    read = Page()
    read.feed(page)

    assert read.open == []
    assert read.ids == SECTIONS
    assert read.figures_with_plots == len(SECTIONS)


def test_a_report_loads_nothing_and_runs_nothing(page: str) -> None:
    read = Page()
    read.feed(page)

    assert read.addresses == []
    assert read.kinds & {"script", "link", "img", "iframe", "object", "embed"} == set()
    assert not re.search(r"url\(|@import|https?:|//", page)
    assert "default-src 'none'" in page


def test_a_report_is_small(page: str) -> None:
    assert len(page.encode()) < 300_000


def test_no_place_in_a_plot_is_no_number(page: str) -> None:
    assert not re.search(r"\b(nan|inf)\b", page)


def test_the_same_facts_make_the_same_page(facts: ReportFacts, page: str) -> None:
    assert render_report(facts, version="2018-05-16.1") == page


def test_names_are_text_and_never_elements(facts: ReportFacts) -> None:
    spec = replace(facts.spec, name="<script>alert(1)</script>")

    page = render_report(replace(facts, spec=spec), version="v")

    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_report_renders_in_a_browser(page: str, tmp_path: Path) -> None:
    """Its own engine lays it out: every plot has a size, and its marks lie inside."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium here: install chromium to render the report")
    report, picture = tmp_path / "report.html", tmp_path / "report.png"
    report.write_text(page)

    # Its profile is not in tmp_path, whose name may be too long for its sockets.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        done = subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={profile}",
                "--window-size=1300,2150",
                f"--screenshot={picture}",
                report.as_uri(),
            ],
            capture_output=True,
            timeout=120,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    header = picture.read_bytes()[:24]
    size = int.from_bytes(header[16:20]), int.from_bytes(header[20:24])
    assert header[1:4] == b"PNG"
    assert size == (1300, 2150)
    assert picture.stat().st_size > 50_000, "an empty page is smaller"


# What it shows


def test_the_weeks_are_those_before_and_the_models_own(
    data: Prepared, facts: ReportFacts
) -> None:
    untils = [week.done.windows.until_ms for week in facts.weeks]

    assert len(untils) == 4
    assert np.diff(untils).tolist() == [7 * DAY_MS] * 3
    assert facts.done is facts.weeks[-1].done
    again = fit(data, facts.weeks[0].done.windows, PLAN)
    assert facts.weeks[0].done.ranking == again.ranking


def test_there_are_no_weeks_before_the_history(data: Prepared) -> None:
    first_ms = int(data.history.event_time_ms[0]) // DAY_MS * DAY_MS
    windows = Windows.ending(first_ms + 14 * DAY_MS, PLAN.lengths)

    assert len(earlier_windows(data.history, windows, PLAN)) == 1


def test_scores_are_those_of_the_bundles_model(
    data: Prepared, facts: ReportFacts
) -> None:
    rows = split(data.history, facts.done.windows).test_all
    scores = Scorer(facts.done.model, feature_count=4).score(data.X[rows])

    assert np.abs(facts.scores - scores).max() <= 5e-10
    assert facts.fraud.tolist() == data.history.fraud[rows].tolist()


def test_what_is_known_of_labels_is_counted(data: Prepared, facts: ReportFacts) -> None:
    history, labels = data.history, facts.labels
    windows = facts.done.windows
    frauds = [
        (time, known)
        for time, known, fraud in zip(
            history.event_time_ms.tolist(),
            history.known_ms.tolist(),
            history.fraud.tolist(),
            strict=True,
        )
        if fraud
    ]
    trained = [f for f in frauds if windows.first_ms <= f[0] < windows.until_ms]

    assert labels.frauds.sum() == len(frauds) == len(labels.delays_days)
    assert labels.transactions.sum() == len(data.events)
    assert labels.train_frauds == len(trained)
    assert labels.known_at_training == sum(k <= windows.until_ms for _, k in trained)
    assert labels.delays_days.min() >= 7
    assert labels.labelled == 900


# Which features help


def test_shuffling_costs_what_the_model_uses_and_nothing_else(data: Prepared) -> None:
    """One column decides, the others are noise; one of them nobody has looked at."""
    random = np.random.default_rng(0)
    fraud = data.history.fraud
    X = random.normal(size=(len(fraud), 3))
    X[:, 1] += 5 * fraud
    X[:, 2] = 1.0
    made = replace(data, X=X)
    until_ms = latest_until_ms(data.history, PLAN.lengths)
    done = fit(made, Windows.ending(until_ms, PLAN.lengths), PLAN)

    drops = permutation_drops(made, done, seed=0)

    assert drops[1] > 0.5 > 10 * abs(drops[0])
    assert drops[2] == 0.0
    assert permutation_drops(made, done, seed=0).tolist() == drops.tolist()


def test_sampled_genuine_transactions_leave_precision_what_it_is(
    data: Prepared, facts: ReportFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = permutation_drops(data, facts.done, seed=0)
    monkeypatch.setattr("training.importance.GENUINE_ROWS", 2_000)

    sampled = permutation_drops(data, facts.done, seed=0)

    best = int(np.argmax(everything))
    assert sampled[best] == pytest.approx(everything[best], rel=0.35)
    assert sampled[best] > 0.02


def test_features_that_say_much_the_same_are_one_group() -> None:
    groups = {group.name: group.columns for group in feature_groups(small_spec())}

    assert groups == {
        "amount": (0, 1),
        "customer_transaction_count": (2,),
        "customer_amount_mean": (3,),
    }


def test_a_refit_without_a_group_is_a_fit_without_its_columns(
    data: Prepared, facts: ReportFacts
) -> None:
    groups = feature_groups(small_spec())
    (refit,) = (
        refit
        for refit in refits_without(data, facts.done, PLAN, groups)
        if refit.group.name == "amount"
    )
    rest = replace(data, X=data.X[:, 2:])

    expected = fit(rest, facts.done.windows, PLAN).ranking.average_precision

    assert refit.average_precision == expected < facts.done.ranking.average_precision


def test_a_single_group_is_not_left_out(data: Prepared, facts: ReportFacts) -> None:
    groups = feature_groups(small_spec())[:1]

    assert list(refits_without(data, facts.done, PLAN, groups)) == []
    page = render_report(replace(facts, refits=()), version="v")
    assert "There is only one group of features." in page


# Axes


def test_axes_place_values_between_their_ends() -> None:
    for scale, middle in (
        (linear(0, 2, str), 1.0),
        (logarithmic(1, 100, str), 10.0),
        (log_odds(0.01, 0.99), 0.5),
    ):
        places = [scale.at(x) for x in (scale.low, middle, scale.high)]
        assert places == pytest.approx([0.0, 0.5, 1.0])
        assert scale.at(scale.high * 2 - scale.low) == 1.0


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.013), (-0.02, 0.31), (0.0, 7.7)])
def test_ticks_of_a_linear_axis_are_few_and_inside(low: float, high: float) -> None:
    ticks = [value for value, _ in linear(low, high, str).ticks]

    assert 3 <= len(ticks) <= 12
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
