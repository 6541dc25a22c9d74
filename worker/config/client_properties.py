"""Which properties of the Kafka client a person may set, and which are not to be shown.

`FRAUD_KAFKA_SASL_PASSWORD` is the client's `sasl.password`. What the guarantee rests
on is refused here; whether the client knows a property, the client says.
"""

from __future__ import annotations

from worker.config.kinds import Secret

PREFIX = "FRAUD_KAFKA_"

#: Properties that are a setting of their own, and that setting's variable.
OWN_SETTINGS = {
    "bootstrap.servers": "FRAUD_BOOTSTRAP_SERVERS",
    "metadata.broker.list": "FRAUD_BOOTSTRAP_SERVERS",
    "group.id": "FRAUD_GROUP",
    "group.instance.id": "FRAUD_INSTANCE and FRAUD_STATIC",
    "transactional.id": "FRAUD_GROUP and FRAUD_INSTANCE",
    "auto.offset.reset": "FRAUD_START",
}

#: Properties that nobody may change, and what would go wrong.
REFUSED = {
    "isolation.level": "records of aborted commits would be scored",
    "enable.auto.commit": "offsets are committed together with the scores",
    "auto.commit.enable": "offsets are committed together with the scores",
    "enable.auto.offset.store": "offsets are committed together with the scores",
    "enable.idempotence": "a retry would duplicate scores",
    "acks": "an acknowledged score could be lost",
    "request.required.acks": "an acknowledged score could be lost",
    "max.in.flight": "a retry would change the order of scores",
    "max.in.flight.requests.per.connection": "a retry would change the order of scores",
    "enable.gapless.guarantee": "a score could be left out",
    "queuing.strategy": "scores would leave in another order",
    "partition.assignment.strategy": "every rebalance would drop all state",
    "group.protocol": "a restarted worker would be refused for 45 seconds",
    "group.remote.assignor": "every rebalance could drop all state",
    "allow.auto.create.topics": "a misspelt topic would be created in silence",
    "enable.partition.eof": "the worker would take the end for a record",
    "plugin.library.paths": "foreign code would run inside the worker",
}

#: Parts of a property's name that mark its value as not to be shown.
SECRET_MARKS = (
    "password",
    "passphrase",
    "secret",
    "token",
    "credential",
    "assertion",
    "key.pem",
    "jaas",
    "oauthbearer.config",
)


def property_of(variable: str) -> str:
    """Return the client's name for a `FRAUD_KAFKA_*` variable."""
    return variable.removeprefix(PREFIX).lower().replace("_", ".")


def variable_of(name: str) -> str:
    """Return the variable that sets a client property."""
    return PREFIX + name.replace(".", "_").upper()


def is_secret(name: str) -> bool:
    """Whether the property's value must never be shown."""
    return any(mark in name for mark in SECRET_MARKS)


def hidden(name: str, text: str) -> str | Secret:
    """Return the text, as a Secret where its property is one."""
    return Secret(text) if is_secret(name) else text


def refusal(name: str) -> str | None:
    """Return why the property cannot be set this way, None where it can."""
    if name in OWN_SETTINGS:
        return f"{name} is set by {OWN_SETTINGS[name]}"
    if name in REFUSED:
        return f"{name} cannot be changed: {REFUSED[name]}"
    return None
