"""Probes tell how far the worker has come; no client of a port can hold up another."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus

import pytest

from tests.waiting import wait_until
from tests.workers import ManualClock
from worker.errors import ExitCode, InvalidConfig
from worker.health import Answer, Endpoint, Health, Routes, metrics_routes, server
from worker.health.probes import BATCH_LIMIT_SECONDS, POLL_LIMIT_SECONDS
from worker.health.server import CONNECTION_SECONDS, MAX_CONNECTIONS, Exposition

HOST = "127.0.0.1"
OK, UNAVAILABLE = HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE

#: More than the buffers of a connection on the loopback hold.
LARGE = b"x" * 20_000_000


@dataclass
class FakePulse:
    """A loop that is wherever a test puts it."""

    seconds_since_poll: float | None = None
    is_in_batch: bool = False


@pytest.fixture(autouse=True)
def quick_to_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a server notice sooner that it is to stop; nothing else hangs on it."""
    monkeypatch.setattr(server, "_TICK_SECONDS", 0.02)


@contextmanager
def serving(routes: Routes) -> Iterator[int]:
    """Serve on a free port until the test is over."""
    endpoint = Endpoint(HOST, 0, routes, setting="FRAUD_HEALTH_PORT")
    try:
        yield endpoint.port
    finally:
        endpoint.close()


def ask(
    port: int, path: str, method: str = "GET", accept: str | None = None
) -> tuple[int, str, bytes]:
    """Return status, content type and body."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request(method, path, headers={"Accept": accept} if accept else {})
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read()
    finally:
        connection.close()


def says(text: bytes) -> Callable[[], Answer]:
    return lambda: Answer(OK, "text/plain", text)


def statuses(health: Health) -> dict[str, HTTPStatus]:
    return {path: answer().status for path, answer in health.routes().items()}


def because(health: Health, path: str) -> list[str]:
    reasons: list[str] = json.loads(health.routes()[path]().body)["because"]
    return reasons


def running(pulse: FakePulse, clock: ManualClock | None = None) -> Health:
    """The health of a worker whose start is over."""
    health = Health(clock or ManualClock())
    health.bundle_verified()
    health.model_ready()
    health.watch(pulse)
    return health


def test_the_probes_follow_the_life_of_a_worker() -> None:
    health, pulse = Health(ManualClock()), FakePulse()
    seen = [tuple(statuses(health).values())]
    health.bundle_verified()
    seen.append(tuple(statuses(health).values()))
    health.model_ready()
    health.watch(pulse)
    seen.append(tuple(statuses(health).values()))
    pulse.seconds_since_poll = 0.0
    seen.append(tuple(statuses(health).values()))
    health.stopping()
    seen.append(tuple(statuses(health).values()))

    assert list(statuses(health)) == ["/livez", "/readyz", "/startupz"]
    assert seen == [
        (OK, UNAVAILABLE, UNAVAILABLE),
        (OK, UNAVAILABLE, OK),
        (OK, UNAVAILABLE, OK),
        (OK, OK, OK),
        (OK, UNAVAILABLE, OK),
    ]


def test_readiness_names_all_that_it_waits_for() -> None:
    health = Health(ManualClock())

    assert because(health, "/readyz") == [
        "the model bundle is not verified yet",
        "the model has not reproduced its golden events yet",
        "no poll has returned yet",
    ]
    assert because(health, "/startupz") == ["the model bundle is not verified yet"]


@pytest.mark.parametrize(
    ("is_in_batch", "limit", "what"),
    [
        (False, POLL_LIMIT_SECONDS, "a poll has been waiting"),
        (True, BATCH_LIMIT_SECONDS, "a batch has been in progress"),
    ],
)
def test_a_loop_that_stands_still_is_not_alive(
    is_in_batch: bool, limit: float, what: str
) -> None:
    pulse = FakePulse(limit, is_in_batch)
    health = running(pulse)
    assert statuses(health)["/livez"] == OK

    pulse.seconds_since_poll = limit + 1

    assert statuses(health)["/livez"] == UNAVAILABLE
    assert because(health, "/livez") == [f"{what} for {limit + 1:.0f} s"]


def test_a_first_poll_that_never_returns_is_no_life_either() -> None:
    clock = ManualClock()
    health = running(FakePulse(), clock)
    clock.now += BATCH_LIMIT_SECONDS
    assert statuses(health)["/livez"] == OK

    clock.now += 1

    assert because(health, "/livez") == ["no poll has returned for 151 s"]


def test_a_slow_poll_does_not_make_a_worker_unready() -> None:
    health = running(FakePulse(POLL_LIMIT_SECONDS * 10))

    assert statuses(health)["/readyz"] == OK


def test_probes_are_served_as_json() -> None:
    with serving(running(FakePulse(0.0)).routes()) as port:
        status, kind, body = ask(port, "/readyz")

    assert (status, kind) == (200, "application/json")
    assert json.loads(body) == {"status": "ok", "because": []}


def test_metrics_are_served_in_the_format_that_is_asked_for() -> None:
    def made(name: bytes) -> Exposition:
        return lambda accept: (name + accept.encode(), f"text of {accept or 'any'}")

    with serving(metrics_routes(made(b"own "), made(b"reference "))) as port:
        plain = ask(port, "/metrics?name=up")
        rich = ask(port, "/metrics", accept="application/x")
        _, _, reference = ask(port, "/metrics/reference")

    assert plain == (200, "text of any", b"own ")
    assert rich == (200, "text of application/x", b"own application/x")
    assert reference == b"reference "


def test_head_gives_no_body() -> None:
    with serving({"/a": says(b"text")}) as port:
        assert ask(port, "/a", "HEAD") == (200, "text/plain", b"")


def test_other_paths_are_told_which_there_are() -> None:
    with serving({"/a": says(b""), "/b": says(b"")}) as port:
        status, _, body = ask(port, "/favicon.ico")

    assert (status, body) == (404, b"there is /a, /b\n")


def test_methods_that_would_change_something_are_refused() -> None:
    with serving({"/a": says(b"")}) as port:
        assert ask(port, "/a", "POST")[0] == 501


def test_port_0_takes_any_free_port() -> None:
    with serving({"/a": says(b"a")}) as first, serving({"/a": says(b"b")}) as second:
        answers = ask(first, "/a")[2], ask(second, "/a")[2]

    assert first != second
    assert 0 not in (first, second)
    assert answers == (b"a", b"b")


@pytest.mark.parametrize("setting", ["FRAUD_HEALTH_PORT", "FRAUD_METRICS_PORT"])
def test_a_port_in_use_names_the_setting(setting: str) -> None:
    with serving({}) as port, pytest.raises(InvalidConfig) as raised:
        Endpoint(HOST, port, {}, setting=setting)

    (problem,) = raised.value.problems
    assert raised.value.exit_code == ExitCode.CONFIG
    assert problem.startswith(f"{setting}={port}: cannot listen on {HOST}: ")


def test_an_address_that_is_not_ours_names_the_setting() -> None:
    with pytest.raises(InvalidConfig, match="FRAUD_HEALTH_PORT=0: cannot listen on"):
        Endpoint("192.0.2.1", 0, {}, setting="FRAUD_HEALTH_PORT")


@pytest.mark.parametrize("sent", [b"", b"GET /met", b"GET /a HTTP/1.1\r\nHost: x\r\n"])
def test_a_client_that_stalls_holds_up_no_other(sent: bytes) -> None:
    """Neither on its own port nor on that of the probes or metrics."""
    routes = {"/a": says(b"here")}
    with serving(routes) as health, serving(routes) as metrics, ExitStack() as clients:
        for port in (health, metrics):
            stalled = clients.enter_context(socket.create_connection((HOST, port)))
            stalled.sendall(sent)

        assert ask(health, "/a")[2] == b"here"
        assert ask(metrics, "/a")[2] == b"here"


def test_a_client_that_does_not_read_holds_up_no_other() -> None:
    routes = {"/large": says(LARGE), "/a": says(b"here")}
    with serving(routes) as port, socket.create_connection((HOST, port)) as client:
        client.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        assert client.recv(1) == b"H"

        assert ask(port, "/a")[2] == b"here"


def test_more_clients_than_places_cost_the_oldest_its_own() -> None:
    """At once: long before its time would have been over."""
    patience = CONNECTION_SECONDS / 2
    with serving({"/a": says(b"here")}) as port, ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection((HOST, port), patience))
            for _ in range(MAX_CONNECTIONS)
        ]

        assert ask(port, "/a")[2] == b"here"
        assert clients[0].recv(1) == b""
        clients[-1].sendall(b"GET /a HTTP/1.1\r\n\r\n")
        assert clients[-1].recv(4) == b"HTTP"


def test_an_answer_that_fails_costs_only_its_own_connection() -> None:
    def fail() -> Answer:
        raise ValueError

    with serving({"/a": says(b"here"), "/fails": fail}) as port:
        with pytest.raises(http.client.RemoteDisconnected):
            ask(port, "/fails")

        assert ask(port, "/a")[2] == b"here"


def test_closing_ends_open_connections_and_frees_the_port() -> None:
    endpoint = Endpoint(HOST, 0, {"/a": says(b"")}, setting="FRAUD_HEALTH_PORT")
    with socket.create_connection((HOST, endpoint.port), timeout=10) as client:
        wait_until(lambda: endpoint._server._open, what="the connection is taken in")

        endpoint.close()

        assert client.recv(1) == b""
    again = Endpoint(HOST, endpoint.port, {}, setting="FRAUD_HEALTH_PORT")
    again.close()
