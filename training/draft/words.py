"""The words by which columns go."""

from __future__ import annotations

import re

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
EVENT = {"transaction", "trans", "tx", "txn", "payment", "event", "order"}
NUMBER = {"id", "num", "number", "uuid", "key", "ref", "no"}
CLOCK = {"time", "timestamp", "datetime", "ts", "date", "at", "when"}
HOLDER = {
    "customer", "client", "card", "cc", "account", "acct", "user", "holder", "payer",
    "cardholder", "sender", "source", "orig",
}  # fmt: skip
OTHER_SIDE = {
    "merchant", "terminal", "shop", "store", "device", "payee", "receiver", "dest",
    "beneficiary", "target",
}  # fmt: skip
MONEY = {"amount", "amt", "price", "value", "total", "sum"}
TRUTH = {"fraud", "fraudulent", "label", "class"}
AFTERWARDS = {"fraud", "fraudulent", "label", "scenario", "chargeback", "confirmed"}
BIRTH = {"birth", "dob", "born", "birthday"}
LATITUDE, LONGITUDE = {"lat", "latitude"}, {"long", "lng", "lon", "longitude"}


def words_of(name: str) -> set[str]:
    """Return the words of a name, small.

    >>> sorted(words_of("merchLat")), sorted(words_of("TX_FRAUD_2"))
    (['lat', 'merch'], ['2', 'fraud', 'tx'])
    """
    return {word.lower() for word in _WORDS.findall(name)}
