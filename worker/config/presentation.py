"""The settings as flags of a command and as a table for people."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from worker.config.client_properties import PREFIX as KAFKA_PREFIX
from worker.config.kinds import BOOLEAN
from worker.config.reading import Declaration, as_text, flag
from worker.config.reading import variable as variable_of
from worker.config.settings import Settings, declared

#: Keeps the settings apart from a command's own arguments in the namespace.
_DEST = "setting_"

_KAFKA_HELP = "Any other property of the Kafka client."


def add_flags(
    parser: argparse.ArgumentParser, names: Iterable[str] | None = None
) -> None:
    """Give the parser a flag for each setting, or only for those named.

    The flags leave reading and checking to `Settings.from_env`, so that what is wrong
    with them is told together with what is wrong in the environment.
    """
    wanted = None if names is None else set(names)
    group = parser.add_argument_group(
        "settings",
        "Each may also stand in the environment, under the name in brackets.",
    )
    for name, known in declared():
        if wanted is None or name in wanted:
            _add_flag(group, name, known)
    if wanted is None or "kafka" in wanted:
        group.add_argument(
            "--kafka",
            dest=f"{_DEST}kafka",
            action="append",
            metavar="PROPERTY=VALUE",
            help=f"{_KAFKA_HELP} [{KAFKA_PREFIX}*]",
        )


def overrides_of(args: argparse.Namespace) -> dict[str, object]:
    """Return what the flags say, for `Settings.from_env`."""
    return {
        name.removeprefix(_DEST): value
        for name, value in vars(args).items()
        if name.startswith(_DEST) and value is not None
    }


def settings_table() -> str:
    """Return the table of all settings in Markdown."""
    lines = ["| variable | default | what it does |", "|---|---|---|"]
    for name, known in declared():
        default = known.shown_default or _code(as_text(_default(name)))
        expected = known.kind.expectation
        lines.append(
            f"| `{variable_of(name)}` | {default} | {known.help} Takes {expected}. |"
        )
    lines.append(f"| `{KAFKA_PREFIX}*` | | {_KAFKA_HELP} {_KAFKA_EXAMPLE} |")
    return "\n".join(lines) + "\n"


_KAFKA_EXAMPLE = f"`{KAFKA_PREFIX}SASL_PASSWORD` is `sasl.password`."


def _add_flag(group: argparse._ArgumentGroup, name: str, known: Declaration) -> None:
    default = known.shown_default or as_text(_default(name))
    ending = f"default: {default}" if default else "no default"
    text = f"{known.help} ({ending}) [{variable_of(name)}]".replace("%", "%%")
    if known.kind is BOOLEAN:
        group.add_argument(
            flag(name),
            dest=_DEST + name,
            action=argparse.BooleanOptionalAction,
            default=None,
            help=text,
        )
        return
    group.add_argument(
        flag(name), dest=_DEST + name, metavar=known.kind.metavar, help=text
    )


def _default(name: str) -> object:
    return getattr(Settings(), name)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
