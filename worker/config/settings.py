"""What can be set, and how it is read: one error tells every problem.

The declarations carry all that `--help`, the README and `check` say of a setting.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from worker.config import client_properties, kinds
from worker.config.kinds import Kind, Secret
from worker.config.reading import Declaration, as_text, read, variable
from worker.errors import InvalidConfig


def setting(default: Any, kind: Kind, text: str) -> Any:
    """Declare a setting with a fixed default, None for one that may be absent."""
    return field(default=default, metadata={"setting": Declaration(kind, text)})


def _host_setting(kind: Kind, text: str) -> Any:
    known = Declaration(kind, text, shown_default="the host's name")
    return field(default_factory=socket.gethostname, metadata={"setting": known})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a person can set; the order is that of the README."""

    bootstrap_servers: str = setting(
        "localhost:9092", kinds.SERVERS, "Brokers to ask first for the others."
    )
    group: str = setting(
        "fraud-worker", kinds.NAME, "Workers of one group share the partitions."
    )
    instance: str = _host_setting(
        kinds.NAME,
        "Name of this worker's place in the group, the same after a restart and "
        "unlike every other worker's; its successor goes on at once by it.",
    )
    static: bool = setting(
        default=True,
        kind=kinds.BOOLEAN,
        text="Keep this worker's partitions for it while it restarts; false gives "
        "them to the others as soon as it stops.",
    )
    transactions_topic: str = setting(
        "transactions", kinds.TOPIC, "Payments to be scored, keyed by their entity."
    )
    scores_topic: str = setting(
        "scores", kinds.TOPIC, "Receives one score for each accepted payment."
    )
    dead_letters_topic: str = setting(
        "dead-letters", kinds.TOPIC, "Receives the records that are no payment."
    )
    labels_topic: str = setting(
        "labels", kinds.TOPIC, "Frauds that were confirmed, days later."
    )
    models_dir: Path = setting(  # noqa: RUF009 - no path ever changes
        Path("models"), kinds.PATH, "Holds the bundles; CURRENT names the one in use."
    )
    public_key: Path | None = setting(  # noqa: RUF009 - no path ever changes
        None,
        kinds.PATH,
        "Ed25519 key (PEM) with which a bundle must be signed; without one, digests "
        "show damage but not intent.",
    )
    state_dir: Path = setting(  # noqa: RUF009 - no path ever changes
        Path("state"), kinds.PATH, "Where state is kept between runs."
    )
    start: Literal["committed", "earliest", "latest"] = setting(
        "committed",
        kinds.choice("committed", "earliest", "latest"),
        "Where a group begins that has never committed: earliest scores all that is "
        "retained, latest only what comes; committed refuses to guess.",
    )
    cold_start: bool = setting(
        default=False,
        kind=kinds.BOOLEAN,
        text="Go on although records that the state needs are no longer retained; "
        "the scores that this affects are flagged.",
    )
    guarantee: Literal["exactly-once", "at-least-once"] = setting(
        "exactly-once",
        kinds.choice("exactly-once", "at-least-once"),
        "at-least-once is for brokers without transactions: a crash repeats scores.",
    )
    threshold: float | None = setting(
        None,
        kinds.number(0, 1),
        "Scores from here on are flagged, in place of the bundle's own threshold.",
    )
    control_group_share: float = setting(
        0.0,
        kinds.number(0, 1),
        "Share of the payments to be flagged that are let through and marked, so that "
        "the labels of the next training are not all made by this model.",
    )
    max_batch: int = setting(
        32_768,
        kinds.whole_number(1, 65536),
        "The most records that one commit covers.",
    )
    commit_interval_seconds: float = setting(
        0.005,
        kinds.number(0, 10),
        "Least time from one commit to the next; more of it means fewer commits and "
        "later scores. A record that comes alone never waits.",
    )
    snapshot_interval_seconds: float = setting(
        60.0,
        kinds.number(0, 86_400),
        "How old a partition's snapshot may get; after a crash, what came since is "
        "replayed. 0 takes none.",
    )
    max_skew_seconds: float = setting(
        3600.0,
        kinds.number(0, 86_400),
        "With several stages: how far apart in event time payments and labels of "
        "different partitions are handed on while a backlog is worked off.",
    )
    max_keys: int = setting(
        2_000_000,
        kinds.whole_number(1, 2**31 - 1),
        "Live keys that one partition's state may hold; one more stops the worker.",
    )
    max_events: int = setting(
        50_000_000,
        kinds.whole_number(1, 2**31 - 1),
        "Live events that one partition's state may hold; one more stops the worker.",
    )
    label_maturity_days: float | None = setting(
        None,
        kinds.number(0, 365),
        "For `truth`: how long after its payment a label may have become known and "
        "count; without it the longest delay of the spec's windows over labels, or 7.",
    )
    dead_letter_ratio: float = setting(
        0.5,
        kinds.number(0, 1),
        "A partition stops when a larger share of its latest records is rejected; "
        "1 switches this limit off.",
    )
    dead_letter_consecutive: int = setting(
        1000,
        kinds.whole_number(0, 10**9),
        "A partition stops when so many records in a row are rejected; 0 switches "
        "this limit off.",
    )
    metrics_address: str = setting(
        "127.0.0.1", kinds.ADDRESS, "Where the metrics are served; 0.0.0.0 for all."
    )
    metrics_port: int = setting(
        9108, kinds.PORT, "Port of the metrics; 0 takes any free one, -1 none."
    )
    health_address: str = setting(
        "127.0.0.1", kinds.ADDRESS, "Where the probes are served; 0.0.0.0 for all."
    )
    health_port: int = setting(
        9109, kinds.PORT, "Port of the probes; 0 takes any free one, -1 none."
    )
    log_format: Literal["auto", "json", "text"] = setting(
        "auto",
        kinds.choice("auto", "json", "text"),
        "auto writes text to a terminal and JSON lines to anything else.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "info",
        kinds.choice("debug", "info", "warning", "error"),
        "The least weight that is written.",
    )
    kafka: Mapping[str, str | Secret] = field(
        default_factory=lambda: MappingProxyType({})
    )

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str],
        overrides: Mapping[str, object] = MappingProxyType({}),
    ) -> Settings:
        """Read the settings; an empty variable counts as absent.

        Parameters
        ----------
        environ
            The variables of the environment; those of other programs are ignored.
        overrides
            By name of the setting, what the command's flags say (None: nothing).
            `kafka` is a sequence of "property=value".

        Raises
        ------
        InvalidConfig
            Lists every problem.
        """
        values, problems = read(dict(declared()), environ, overrides)
        settings = cls(**values)
        problems += _contradictions(settings)
        if problems:
            raise InvalidConfig(problems)
        return settings

    def client_properties(self) -> dict[str, str]:
        """Return the passed-through client properties, secrets revealed."""
        return {
            name: value.reveal() if isinstance(value, Secret) else value
            for name, value in self.kafka.items()
        }

    def shown(self) -> dict[str, str]:
        """Return every variable with its value in force, secrets hidden."""
        own = {variable(name): as_text(getattr(self, name)) for name, _ in declared()}
        passed = {
            client_properties.variable_of(name): str(value)
            for name, value in self.kafka.items()
        }
        return own | passed


def declared() -> Iterator[tuple[str, Declaration]]:
    """Yield the name and the declaration of each setting, in order."""
    for known in fields(Settings):
        if "setting" in known.metadata:
            yield known.name, known.metadata["setting"]


def _contradictions(settings: Settings) -> Iterator[str]:
    """Yield what is wrong between settings that are right one by one."""
    topics = [name for name, _ in declared() if name.endswith("_topic")]
    for index, name in enumerate(topics):
        for other in topics[:index]:
            if getattr(settings, name) == getattr(settings, other):
                yield (
                    f"{variable(name)}={getattr(settings, name)}: expected another "
                    f"topic than {variable(other)}"
                )
    same_place = settings.metrics_address == settings.health_address
    if same_place and settings.metrics_port == settings.health_port > 0:
        yield (
            f"FRAUD_HEALTH_PORT={settings.health_port}: expected another port than "
            "FRAUD_METRICS_PORT"
        )
