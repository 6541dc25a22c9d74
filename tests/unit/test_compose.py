"""What the image and the compose file name exists in the code."""

from __future__ import annotations

import re
import tomllib

import pytest

from deploy.files import alerts, generated
from tests.conftest import ROOT
from tests.promtool import promtool
from worker.cli import commands
from worker.cli import main as fraud_worker
from worker.config import Settings
from worker.health import Health, metrics_routes

COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()

ENVIRONMENT = dict(re.findall(r"^ +(FRAUD_\w+): (.+)$", COMPOSE, re.MULTILINE))
IMAGE = dict(re.findall(r"\b(FRAUD_\w+)=([^\s\\]+)", DOCKERFILE))
#: What watches over the worker, and where it is asked.
WATCHERS = {"prometheus": "9090", "alertmanager": "9093", "grafana": "3000"}

SERVICES = dict(
    re.findall(r"^  (\w+):\n((?:    .*\n|\n|  #.*\n)+)", COMPOSE, re.MULTILINE)
)

PROMETHEUS = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
PROVISIONING = ROOT / "deploy/grafana/provisioning"

IN_FORCE = Settings.from_env(IMAGE | ENVIRONMENT)


def test_every_setting_is_read_without_a_problem() -> None:
    named = set(re.findall(r"\bFRAUD_\w+", COMPOSE + DOCKERFILE))

    assert named == set(ENVIRONMENT) | set(IMAGE)
    assert IN_FORCE.shown().items() >= (IMAGE | ENVIRONMENT).items()


def test_the_topics_are_those_of_the_defaults() -> None:
    """The service that creates them has no settings of its own for their names."""
    names = ("transactions_topic", "scores_topic", "dead_letters_topic")

    assert [getattr(IN_FORCE, name) for name in names] == [
        getattr(Settings(), name) for name in names
    ]


def test_the_ports_are_those_that_are_served() -> None:
    served = {str(IN_FORCE.metrics_port), str(IN_FORCE.health_port)}
    published = re.findall(r"- 127\.0\.0\.1:(\d+):(\d+)", COMPOSE)
    (exposed,) = re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE)

    assert set(exposed.split()) == served
    assert {host for host, inside in published if host != inside} == set()
    assert {host for host, _ in published} - served == {"29092", *WATCHERS.values()}


def test_the_broker_is_advertised_where_the_worker_asks() -> None:
    (advertised,) = re.findall(r"ADVERTISED_LISTENERS: (.+)", COMPOSE)

    assert f"INSIDE://{IN_FORCE.bootstrap_servers}" in advertised.split(",")
    assert "OUTSIDE://localhost:29092" in advertised.split(",")


def test_the_health_check_asks_a_path_that_is_answered() -> None:
    (port, path) = re.findall(r'urlopen\("http://127\.0\.0\.1:(\d+)(/\w+)"', COMPOSE)[0]

    assert int(port) == IN_FORCE.health_port
    assert path in Health().routes()
    assert "/metrics" in metrics_routes(lambda _: (b"", ""), lambda _: (b"", ""))


@pytest.mark.parametrize(
    "words", re.findall(r"^    command: \[(.+)\]$", COMPOSE, re.MULTILINE)
)
def test_every_command_exists_and_has_these_flags(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, *arguments = words.replace('"', "").split(", ")

    with pytest.raises(SystemExit) as ended:
        fraud_worker([command, "--help"])

    assert ended.value.code == 0
    known = capsys.readouterr().out
    assert [a for a in arguments if a.startswith("--") and a not in known] == []


def test_the_image_runs_commands_that_exist() -> None:
    (default,) = re.findall(r'^CMD \["(\w+)"\]$', DOCKERFILE, re.MULTILINE)

    assert default in set(commands())
    assert re.findall(r"fraud-worker (\w+) --offline$", DOCKERFILE, re.MULTILINE) == [
        "check",
        "check",
    ]


def test_state_and_models_are_mounted_where_they_are_looked_for() -> None:
    mounted = dict(re.findall(r"^      - ([./\w-]+):(/[\w/-]+)", COMPOSE, re.MULTILINE))

    assert mounted["worker-state"] == str(IN_FORCE.state_dir)
    assert mounted["./models"] == str(IN_FORCE.models_dir)
    assert (ROOT / "models" / "CURRENT").is_file()


def test_the_worker_has_no_rights_and_a_root_that_cannot_be_written() -> None:
    services = dict(re.findall(r"^  (\w+):\n((?:    .*\n|\n)+)", COMPOSE, re.MULTILINE))

    for name in ("topics", "worker", "truth"):
        assert "read_only: true" in services[name]
        assert "tmpfs: /tmp" in services[name]
        assert "cap_drop: [ALL]" in services[name]
    (uid,) = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)
    assert int(uid) > 0


def test_the_kernels_lie_where_they_may_be_written() -> None:
    """numba passes over a cache that it may only read, and then refuses to start."""
    (cache,) = re.findall(r"^    NUMBA_CACHE_DIR=(\S+) ", DOCKERFILE, re.MULTILINE)

    assert cache.startswith("/tmp/")  # noqa: S108 - the tmpfs of the container
    assert 'cp -R /opt/fraud-worker/kernels \\"$NUMBA_CACHE_DIR\\"' in DOCKERFILE


def test_everything_that_the_image_copies_is_let_in() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {name for names in copied for name in names.split()}
    let_in = set(
        re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    )

    assert sources == let_in
    assert {name for name in sources if not (ROOT / name).exists()} == set()
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    found = packages["setuptools"]["packages"]["find"]["include"]
    assert {name.rstrip("*") for name in found} <= sources


# What watches over the worker


def mounts(service: str) -> dict[str, str]:
    """Where each file or volume of a service is seen."""
    return dict(
        re.findall(r"^      - ([./\w-]+):(/[\w/-]+)", SERVICES[service], re.MULTILINE)
    )


@pytest.mark.parametrize("service", SERVICES)
def test_every_mounted_file_exists_and_every_volume_is_declared(service: str) -> None:
    declared = COMPOSE.split("\nvolumes:\n")[1].split()

    for source in mounts(service):
        if source.startswith("."):
            assert (ROOT / source).exists(), source
        else:
            assert f"{source}:" in declared


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_waits_for_services_that_exist(service: str) -> None:
    (waits,) = re.findall(r"    depends_on:\n((?:      .*\n)+)", SERVICES[service]) or [
        ""
    ]

    named = re.findall(r"^      (?:- )?(\w+):?$", waits, re.MULTILINE)
    assert set(named) <= set(SERVICES)
    for name in re.findall(r"(\w+):\n +condition: service_healthy", waits):
        assert "healthcheck:" in SERVICES[name]


def test_watchers_are_asked_where_they_listen() -> None:
    for service, port in WATCHERS.items():
        assert f"- 127.0.0.1:{port}:{port}" in SERVICES[service]
    asked = set(re.findall(r"targets: \[(\w+:\d+)\]", PROMETHEUS))
    source = (PROVISIONING / "datasources" / "prometheus.yaml").read_text()

    own = {f"{name}:{IN_FORCE.metrics_port}" for name in ("worker", "truth")}
    assert asked == own | {"alertmanager:9093"}
    assert "url: http://prometheus:9090" in source


def test_prometheus_scrapes_paths_that_are_served() -> None:
    served = set(metrics_routes(lambda _: (b"", ""), lambda _: (b"", "")))
    paths = set(re.findall(r"metrics_path: (\S+)", PROMETHEUS)) | {"/metrics"}

    assert paths == served
    assert (
        promtool("check", "config", ROOT / "deploy/prometheus/prometheus.yml")[0] == 0
    )


def test_prometheus_finds_its_configuration_and_rules() -> None:
    assert mounts("prometheus")["./deploy/prometheus"] == "/etc/prometheus"
    assert "--config.file=/etc/prometheus/prometheus.yml" in SERVICES["prometheus"]
    (pattern,) = re.findall(r'^  - "(.+)"$', PROMETHEUS, re.MULTILINE)

    found = {f"prometheus/{p.name}" for p in (ROOT / "deploy/prometheus").glob(pattern)}
    assert found == {name for name in generated() if name.startswith("prometheus/")}


def test_alertmanager_knows_the_severities_and_the_alerts() -> None:
    text = (ROOT / "deploy/alertmanager/alertmanager.yml").read_text()
    severities = {alert.severity for alert in alerts()}
    names = {alert.name for alert in alerts()}

    assert (
        "--config.file=/etc/alertmanager/alertmanager.yml" in SERVICES["alertmanager"]
    )
    assert set(re.findall(r'severity="(\w+)"', text)) <= severities
    receivers = set(re.findall(r"^  - name: (\w+)$", text, re.MULTILINE))
    assert set(re.findall(r"receiver: (\w+)", text)) == receivers
    matchers = re.findall(r'alertname(=~?)"([^"]+)"', text)
    assert len(matchers) == 6
    for operator, pattern in matchers:
        exact = re.escape(pattern) if operator == "=" else pattern
        assert any(re.fullmatch(exact, name) for name in names), pattern


def test_grafana_finds_the_dashboard_and_its_source() -> None:
    mounted = mounts("grafana")
    (path,) = re.findall(r"DASHBOARD_PATH: (\S+)", SERVICES["grafana"])
    provider = (PROVISIONING / "dashboards" / "fraud-worker.yaml").read_text()

    directory = mounted["./deploy/grafana/dashboards"]
    assert f"path: {directory}\n" in provider
    assert path == f"{directory}/fraud-worker.json"
    assert "grafana/dashboards/fraud-worker.json" in generated()
    assert mounted["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert "11.6" in SERVICES["grafana"], "the version that the dashboard is made for"
