"""Alterations of published answers, each of which an audit must notice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from worker.codec import origin_header, parse_origin
from worker.records import Output

Alter = Callable[[Output], Output]


def altered_score(**changes: Any) -> Alter:
    """Replace fields of a score; one whose value is None is left out."""

    def alter(output: Output) -> Output:
        fields = json.loads(output.value or b"") | changes
        kept = {name: value for name, value in fields.items() if value is not None}
        return output._replace(value=json.dumps(kept, separators=(",", ":")).encode())

    return alter


def altered_reason(**changes: Any) -> Alter:
    """Replace fields of the first reason of a flagged score."""

    def alter(output: Output) -> Output:
        first, *rest = json.loads(output.value or b"")["reasons"]
        return altered_score(reasons=[first | changes, *rest])(output)

    return alter


def flip_decision(output: Output) -> Output:
    flagged = json.loads(output.value or b"")["flagged"]
    return altered_score(flagged=not flagged)(output)


def flip_digest(output: Output) -> Output:
    origin = parse_origin(output.headers[0][1])
    other = origin._replace(digest=origin.digest ^ 1)
    return output._replace(headers=[origin_header(*other)])


def with_header(name: str, text: bytes) -> Alter:
    def alter(output: Output) -> Output:
        headers = [(n, text if n == name else t) for n, t in output.headers]
        return output._replace(headers=headers)

    return alter
