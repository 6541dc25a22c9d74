"""The commands of fraud-train, run as a person would, with what they print."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import joblib
import pyarrow.parquet
import pytest

from tests.conftest import ROOT
from tests.training_builders import SPEC, payments, small_spec, write_records
from training.cli import build_parser, main
from training.commands.inputs import read_spec
from training.export import EXPORT_FORMATS
from training.models import MODEL_KINDS
from worker.bundle import read_bundle
from worker.errors import ExitCode
from worker.scoring import load_model

COMMANDS = (
    "simulate", "init", "featurize", "fit", "evaluate", "compare", "publish",
    "rollback", "export",
)  # fmt: skip

SMALL = (
    "--customers=400",
    "--terminals=800",
    "--days=60",
    "--fraud-customer-rate=.005",
)


class Files:
    """A directory with simulated data and a spec, and the arguments to use them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.spec = directory / "small.toml"
        self.spec.write_text(SPEC)
        self.transactions = directory / "transactions.parquet"
        self.labels = directory / "labels.parquet"
        self.models = directory / "models"

    def fit(self, *more: str) -> list[str]:
        return ["fit", *self.history(), "--out", str(self.models), *more]

    def history(self) -> list[str]:
        return [
            "--spec", str(self.spec),
            "--transactions", str(self.transactions),
            "--labels", str(self.labels),
        ]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Simulated payments, and two models: `first` in use, `second` its child."""
    made = Files(tmp_path_factory.mktemp("cli"))
    assert main(["simulate", "--out", str(made.directory), *SMALL]) == 0
    for version, seed in (("first", "0"), ("second", "1")):
        assert main(made.fit("--version", version, "--seed", seed)) == 0
        if version == "first":
            assert main(["publish", "first", "--models", str(made.models)]) == 0
    return made


def run(
    capsys: pytest.CaptureFixture[str], arguments: Sequence[str]
) -> tuple[int, str, str]:
    """Return the exit code, standard output and standard error."""
    capsys.readouterr()
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


# Simulating and featurizing


@pytest.mark.parametrize("file_format", ["parquet", "jsonl", "csv"])
def test_simulate_writes_two_files_and_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file_format: str
) -> None:
    arguments = ["simulate", "--out", str(tmp_path), "--format", file_format]

    code, out, err = run(capsys, [*arguments, "--customers", "20", "--days", "5"])

    names = [tmp_path / f"{stem}.{file_format}" for stem in ("transactions", "labels")]
    assert code == 0
    assert out.split() == [str(name) for name in names]
    assert all(name.exists() for name in names)
    assert re.search(r"payments of \d+ customers, 2018-04-01 to 2018-04-05", err)


def test_simulate_draws_another_shape_and_refuses_what_belongs_to_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["simulate", "--shape", "cards", "--out", str(tmp_path)]

    code, out, err = run(capsys, [*arguments, "--cards", "20", "--days", "5"])

    assert code == 0
    assert len(out.split()) == 2
    assert re.search(r"payments of \d+ cards, 2024-01-01 to 2024-01-05", err)
    code, _, err = run(capsys, [*arguments, "--customers", "20", "--radius", "5"])
    assert code == ExitCode.CONFIG
    assert "--customers means nothing with --shape cards" in err
    assert "--radius means nothing with --shape cards" in err


def test_simulated_payments_can_be_featurized_with_a_shipped_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["simulate", "--out", str(tmp_path), "--customers=30", "--days=9"])
    source, target = tmp_path / "transactions.parquet", tmp_path / "X.parquet"

    code, out, err = run(
        capsys,
        ["featurize", "--spec", "customer", "--transactions", str(source),
         "--out", str(target)],
    )  # fmt: skip

    table = pyarrow.parquet.read_table(target)
    assert code == 0
    assert out == f"{target}\n"
    names = ["transaction_id", *read_spec("customer").feature_names]
    assert table.column_names == names
    assert len(table) == len(pyarrow.parquet.read_table(source))
    assert f"{len(table):,} rows with {len(names) - 1} features" in err
    assert "in the spec" in err, "the data report"


def test_columns_of_other_names_are_mapped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [
        {
            ("when" if name == "event_time" else name): value
            for name, value in row.items()
        }
        for row in payments()
    ]
    source = write_records(tmp_path / "data.csv.gz", records)
    (tmp_path / "spec.toml").write_text(SPEC)
    arguments = [
        "featurize", "--spec", str(tmp_path / "spec.toml"),
        "--transactions", str(source), "--out", str(tmp_path / "X.parquet"),
    ]  # fmt: skip

    without, _, err = run(capsys, arguments)
    code, _, _ = run(capsys, [*arguments, "--column", "event_time=when"])

    assert without == ExitCode.CONFIG
    assert "--column event_time=NAME" in err
    assert code == 0
    assert len(pyarrow.parquet.read_table(tmp_path / "X.parquet")) == 4


# Fitting


def test_fit_reports_evaluates_and_writes_a_bundle(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, files.fit("--alert-budget", "5"))

    assert code == 0
    assert "accepted" in err
    assert "transactions without a label count as genuine" in err
    path = Path(out.splitlines()[-1].removeprefix("bundle "))
    assert re.fullmatch(r"2018-05-16\.\d", path.name), "last day of training, number"
    model = load_model(read_bundle(files.models, path.name))
    assert f"threshold {model.threshold!r}: " in out
    assert (
        f"trained on 2018-05-10..2018-05-16: {model.manifest.data_window.rows:,}" in out
    )
    assert "evaluated on 2018-05-24..2018-05-30" in out
    figures = model.manifest.metrics
    assert f"{figures['average_precision']:.3f}" in out
    assert f"{figures['alerts_per_day']:.1f} alerts a day" in out
    assert 0 < figures["alerts_per_day"] <= 5
    assert model.reference is not None
    evaluated = model.reference.score.rows
    daily = model.reference.flag_ratio * evaluated / 7
    assert daily == pytest.approx(figures["alerts_per_day"])


def test_the_same_fit_makes_the_same_bundle(files: Files) -> None:
    for version in ("one", "two"):
        assert main(files.fit("--version", version)) == 0

    one, two = (read_bundle(files.models, name).files for name in ("one", "two"))
    assert one["model.joblib"] == two["model.joblib"]
    assert one["golden.json"] == two["golden.json"]
    assert one["reference.json"] == two["reference.json"]


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_every_kind_of_model_makes_a_bundle_that_loads(files: Files, kind: str) -> None:
    assert main(files.fit("--version", f"kind-{kind}", "--model", kind)) == 0

    load_model(read_bundle(files.models, f"kind-{kind}"))


def test_what_the_model_cannot_use_is_told(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    blind = files.directory / "blind.toml"
    tail = '[[feature]]\nname = "amount_tail"\nfield = "amount"\n'
    items = '[[feature]]\nname = "items"\nfield = "items"\n'
    lines = "clip = [150, 1000]\nround_to = 5\n"
    assert tail + lines in SPEC
    blind.write_text(SPEC.replace(tail + lines, items))
    fit = [argument.replace(str(files.spec), str(blind)) for argument in files.fit()]

    code, _, err = run(capsys, [*fit, "--version", "blind"])

    assert code == 0
    assert "notice: items has no value in the training window" in err
    assert "notice: amount: this model sees no difference between values" in err


def test_a_version_that_exists_is_not_overwritten(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_bundle(files.models, "first").digest

    code, _, err = run(capsys, files.fit("--version", "first"))

    assert code == ExitCode.CONFIG
    assert "first" in err
    assert read_bundle(files.models, "first").digest == before


def test_windows_without_data_are_an_error_with_every_problem(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, files.fit("--train-until", "2017-01-01"))

    assert code == ExitCode.CONFIG
    assert "the training window 2016-12-26..2017-01-01 holds no transaction" in err
    assert "the evaluation 2017-01-09..2017-01-15 holds no transaction" in err
    assert "Traceback" not in err


# Evaluating


def test_evaluate_prints_weeks_and_their_mean(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, ["evaluate", *files.history(), "--weeks", "3"])

    weeks = [line.split() for line in out.splitlines() if line.startswith("  2018")]
    mean = next(line.split() for line in out.splitlines() if "mean" in line)
    assert code == 0
    assert [week[0] for week in weeks] == [
        "2018-05-10..2018-05-16",
        "2018-05-17..2018-05-23",
        "2018-05-24..2018-05-30",
    ]
    precisions = [float(week[5]) for week in weeks]
    assert float(mean[1]) == pytest.approx(sum(precisions) / 3, abs=0.001)
    assert "published" not in out


def test_evaluate_gives_the_same_figures_as_json(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    out_file = files.directory / "evaluation.json"
    arguments = ["evaluate", *files.history(), "--weeks", "2"]

    _, table, _ = run(capsys, [*arguments, "--out", str(out_file)])
    code, out, _ = run(capsys, [*arguments, "--json"])

    found = json.loads(out)
    assert code == 0
    assert json.loads(out_file.read_text()) == found
    assert len(found["weeks"]) == 2
    figures = [week["figures"]["average_precision"] for week in found["weeks"]]
    assert found["mean"]["average_precision"] == pytest.approx(sum(figures) / 2)
    assert found["published"] == found["warnings"] == []
    for week in found["weeks"]:
        assert week["evaluated_on"] in table
        assert f"{week['figures']['average_precision']:.3f}" in table


def test_a_gate_fails_the_command(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", *files.history(), "--weeks", "1"]

    low, _, _ = run(capsys, [*arguments, "--minimum-average-precision", "0.01"])
    high, _, err = run(capsys, [*arguments, "--minimum-average-precision", "0.99"])

    assert (low, high) == (0, 1)
    assert "is below the minimum of 0.99" in err


# Comparing, publishing, exporting


def test_compare_tells_same_from_different(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = str(files.models / "first"), str(files.models / "second")
    data = ["--transactions", str(files.transactions)]

    same, out_same, _ = run(capsys, ["compare", first, first, *data])
    other, out_other, _ = run(capsys, ["compare", first, second, *data])

    assert (same, out_same.splitlines()[-1]) == (0, "equivalent")
    assert (other, out_other.splitlines()[-1]) == (1, "different")
    assert "features in both: 4, different: 0" in out_other


def test_models_that_look_at_labels_are_compared_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["simulate", "--out", str(tmp_path), "--customers=30", "--days=20"])
    shipped = str(ROOT / "models" / (ROOT / "models" / "CURRENT").read_text().strip())
    arguments = ["compare", shipped, shipped]
    arguments.append(f"--transactions={tmp_path / 'transactions.parquet'}")

    without, _, err = run(capsys, arguments)
    code, out, _ = run(capsys, [*arguments, f"--labels={tmp_path / 'labels.parquet'}"])

    assert without == ExitCode.CONFIG
    assert "looks at labels; give them too" in err
    assert code == 0
    assert out.splitlines()[-1] == "equivalent"


def test_models_that_read_different_fields_are_not_compared(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    other = files.directory / "other.toml"
    other.write_text(SPEC.replace("decimals = 2\n", "decimals = 3\n", 1))
    fit = [argument.replace(str(files.spec), str(other)) for argument in files.fit()]
    assert main([*fit, "--version", "other"]) == 0

    code, _, err = run(
        capsys,
        ["compare", str(files.models / "first"), str(files.models / "other"),
         "--transactions", str(files.transactions)],
    )  # fmt: skip

    assert code == ExitCode.CONFIG
    assert "read different fields" in err


def test_publish_and_rollback_change_the_model_in_use(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["--models", str(files.models)]

    _, published, _ = run(capsys, ["publish", "second", *models])
    _, back, _ = run(capsys, ["rollback", *models])

    assert published.startswith("in use: second (")
    assert back.startswith("in use: first (")
    assert (files.models / "CURRENT").read_text() == "first\n"


def test_a_damaged_bundle_is_not_put_in_use(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    main(files.fit("--version", "damaged"))
    (files.models / "damaged" / "card.md").write_text("other")

    code, _, err = run(capsys, ["publish", "damaged", "--models", str(files.models)])

    assert code == ExitCode.BUNDLE
    assert "fraud-train publish: " in err
    assert (files.models / "CURRENT").read_text() == "first\n"


@pytest.mark.parametrize("file_format", EXPORT_FORMATS)
def test_a_model_can_be_exported(files: Files, file_format: str) -> None:
    target = files.directory / f"model-{file_format}"

    code = main(
        ["export", str(target), "--format", file_format,
         "--version", "first", "--models", str(files.models)],
    )  # fmt: skip

    assert code == 0
    assert type(joblib.load(target)).__name__ == "HistGradientBoostingClassifier"


# What is wrong


def test_a_wrong_spec_ends_in_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.toml").write_text("format = 1\n")
    arguments = ["--transactions", "t.parquet", "--out", "X.parquet"]

    missing, _, err = run(capsys, ["featurize", "--spec", "no-such", *arguments])
    wrong, _, err_wrong = run(
        capsys, ["featurize", "--spec", str(tmp_path / "bad.toml"), *arguments]
    )

    assert (missing, wrong) == (ExitCode.CONFIG, ExitCode.CONFIG)
    assert "no-such: there is no such file" in err
    assert err_wrong.count("\n  - ") > 1, "every problem is listed"


def test_a_spec_that_is_no_text_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")

    code, _, err = run(
        capsys,
        ["featurize", "--spec", str(tmp_path / "bad.toml"),
         "--transactions", "t.parquet", "--out", "X.parquet"],
    )  # fmt: skip

    assert code == ExitCode.CONFIG
    assert "is not UTF-8" in err


def test_a_place_that_cannot_be_written_is_an_error_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")

    code, _, err = run(
        capsys, ["simulate", "--out", str(tmp_path / "file"), "--days=1"]
    )

    assert code == ExitCode.CONFIG
    assert "fraud-train simulate: " in err
    assert str(tmp_path / "file") in err


def test_a_mapping_of_an_unknown_field_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_records(tmp_path / "data.parquet", payments())

    code, _, err = run(
        capsys,
        ["featurize", "--spec", "customer", "--transactions", str(source),
         "--out", "X.parquet", "--column", "ammount=TX_AMOUNT"],
    )  # fmt: skip

    assert code == ExitCode.CONFIG
    assert "the spec has no field 'ammount'" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulate", "--out", "d", "--customers", "0"], "customers is 0"),
        (["simulate", "--out", "d", "--days", "0", "--seed", "-1"], "seed is -1"),
    ],
)
def test_plans_that_cannot_be_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, _, err = run(capsys, arguments)

    assert code == ExitCode.CONFIG
    assert message in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["learn"],
        ["simulate"],
        ["simulate", "--out", "d", "--start", "yesterday"],
        ["simulate", "--out", "d", "--label-delay", "a week"],
        ["fit", "--train-until", "yesterday"],
        ["featurize", "--column", "amount"],
    ],
)
def test_arguments_that_are_none_exit_with_the_code_of_a_configuration(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)

    assert raised.value.code == ExitCode.CONFIG
    assert "usage: fraud-train" in capsys.readouterr().err


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_examples_that_parse(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main([command, "--help"])

    text = capsys.readouterr().out.replace("\\\n", " ")
    examples = re.findall(rf"^  fraud-train ({command}\b.*)$", text, re.MULTILINE)
    assert raised.value.code == 0
    assert len(examples) >= 2
    for example in examples:
        assert build_parser().parse_args(example.split()).command == command


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    text = capsys.readouterr().out
    for command in COMMANDS:
        assert re.search(rf"^    {command}\b", text, re.MULTILINE)
    for code in (0, 1, 2, 3):
        assert re.search(rf"^  {code}  ", text, re.MULTILINE)


def test_choices_are_those_of_the_library() -> None:
    """Repeated in the parser, so that --help does not load scikit-learn."""
    parser = build_parser()
    files = ["--spec=s", "--transactions=t", "--labels=l", "--out=o"]

    for kind in MODEL_KINDS:
        assert parser.parse_args(["fit", *files, "--model", kind]).model == kind
    for name in EXPORT_FORMATS:
        assert parser.parse_args(["export", "f", "--format", name]).format == name


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from training.cli import main\n"
        "try:\n"
        "    main(['fit', '--help'])\n"
        "except SystemExit:\n"
        "    print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert not {"sklearn", "pyarrow", "numba", "numpy"} & set(done.stdout.split())


def test_the_module_runs_as_a_program(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "training.cli", "simulate", "--out", str(tmp_path),
         "--customers", "5", "--days", "2", "--format", "jsonl"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "transactions.jsonl").read_text().splitlines()
    assert set(json.loads(lines[0])) == {
        "transaction_id", "event_time", "customer_id", "terminal_id", "amount",
    }  # fmt: skip


def test_shipped_specs_are_found_by_name() -> None:
    assert read_spec("book").name == "book"
    assert read_spec("customer").name == "customer"
    assert read_spec("cards").name == "cards"
    assert small_spec().name == "small"
