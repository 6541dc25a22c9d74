"""A small HTTP server for machines that ask: metrics and probes.

Whatever a client does, or fails to do, costs the worker nothing: each connection has a
thread of its own, a limit in time, and a place among a limited number.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, NamedTuple

from worker.errors import InvalidConfig

#: Longest life of a connection, seconds: a scrape takes milliseconds.
CONNECTION_SECONDS = 10.0

#: Connections held at a time; the oldest gives way to a newcomer.
MAX_CONNECTIONS = 32

#: How soon the server notices that a connection is overdue, or that it is to stop.
_TICK_SECONDS = 0.5


class Answer(NamedTuple):
    """What a path says now."""

    status: HTTPStatus
    content_type: str
    body: bytes


#: Makes a text in the format that a client asks for, by its header Accept (empty: any),
#: and says which format that is.
Exposition = Callable[[str], tuple[bytes, str]]


class Negotiated(NamedTuple):
    """A path that says the same in several formats."""

    make: Exposition

    def answer(self, accept: str) -> Answer:
        """Return what a client with that header gets."""
        text, content_type = self.make(accept)
        return Answer(HTTPStatus.OK, content_type, text)


Routes = Mapping[str, Callable[[], Answer] | Negotiated]


def metrics_routes(
    exposition: Exposition, reference: Exposition | None = None
) -> Routes:
    """Return the paths of the metrics, given what makes their texts."""
    routes = {"/metrics": Negotiated(exposition)}
    if reference is not None:
        routes["/metrics/reference"] = Negotiated(reference)
    return routes


class Endpoint:
    """Serves a few paths on a port of its own until it is closed.

    Parameters
    ----------
    address, port
        Where to listen; port 0 takes any free one.
    setting
        The variable that names the port, for the message when it is taken.

    Attributes
    ----------
    port
        The port in use.

    Raises
    ------
    InvalidConfig
        When it cannot listen there.
    """

    def __init__(self, address: str, port: int, routes: Routes, *, setting: str):
        try:
            self._server = _Server(address, port, routes)
        except OSError as error:
            raise InvalidConfig(
                [f"{setting}={port}: cannot listen on {address}: {error.strerror}"]
            ) from None
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(_TICK_SECONDS,),
            name=f"http-{self.port}",
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening and end all connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: str, port: int, routes: Routes):
        if ":" in address:
            self.address_family = socket.AF_INET6
        self.routes = routes
        self._open: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        super().__init__((address, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection in, at the cost of the oldest where there are too many."""
        with self._lock:
            self._open[request] = time.monotonic() + CONNECTION_SECONDS
            surplus = list(self._open)[: len(self._open) - MAX_CONNECTIONS]
        _end(surplus)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that has been answered."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End what is overdue."""
        now = time.monotonic()
        with self._lock:
            overdue = [request for request, end in self._open.items() if end < now]
        _end(overdue)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""

    def server_close(self) -> None:
        """End all connections too."""
        super().server_close()
        with self._lock:
            connections = list(self._open)
        _end(connections)


def _end(connections: list[socket.socket]) -> None:
    """Wake the thread that waits for a connection; it does the closing."""
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    timeout = CONNECTION_SECONDS
    server: _Server

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def log_message(self, *_: Any) -> None:
        """Requests of machines are not worth a line."""

    def version_string(self) -> str:
        """Tell nobody what serves this."""
        return "fraud-worker"

    def _answer(self, *, has_body: bool) -> None:
        route = self.server.routes.get(self.path.partition("?")[0])
        if route is None:
            known = ", ".join(self.server.routes)
            body = f"there is {known}\n".encode()
            answer = Answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", body)
        elif isinstance(route, Negotiated):
            answer = route.answer(self.headers.get("Accept", ""))
        else:
            answer = route()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if has_body:
            self.wfile.write(answer.body)
