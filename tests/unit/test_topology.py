"""Which topics the stages of a spec work on."""

from __future__ import annotations

import re

import pytest

from tests.label_builders import ROUTED, WITH_LABELS
from tests.staged_memory import NAMES
from tests.transform_builders import EVERYTHING
from worker.features import Spec
from worker.pipeline import Topology


def topology(spec_text: str, group: str = "group") -> Topology:
    return Topology.of(Spec.from_toml(spec_text), group, NAMES)


def test_one_entity_reads_the_transactions_and_nothing_else() -> None:
    one = topology(EVERYTHING)

    assert one.consumed == one.stages == ("transactions",)
    assert one.every == ("transactions", "scores", "dead-letters")
    assert (one.labels, one.inner, one.followers) == (None, (), ())
    assert not one.is_routed
    assert one.stateless == frozenset()


def test_a_second_entity_reads_what_the_first_hands_on() -> None:
    two = topology(WITH_LABELS)

    (inner,) = two.inner
    assert two.stages == ("transactions", inner)
    assert two.followers == ("labels", inner)
    assert two.every == ("transactions", "labels", inner, "scores", "dead-letters")
    assert not two.is_routed
    assert two.stateless == {"labels"}


def test_a_first_entity_that_looks_at_labels_reads_a_topic_with_both() -> None:
    routed = topology(ROUTED)

    customer, shop = routed.inner
    assert routed.stages == (customer, shop)
    assert routed.is_routed
    assert routed.stateless == {"transactions", "labels"}
    assert customer.startswith("group-customer-")
    assert shop.startswith("group-shop-")


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('allowed_lateness = "20s"', 'allowed_lateness = "21s"'),
        ("strength = 2\nclip = [1, 8]", "strength = 3\nclip = [1, 8]"),
        ("decimals = 2", "decimals = 3"),
    ],
)
def test_what_is_handed_on_under_another_meaning_goes_to_another_topic(
    was: str, becomes: str
) -> None:
    changed = WITH_LABELS.replace(was, becomes)

    assert changed != WITH_LABELS
    assert topology(changed).inner != topology(WITH_LABELS).inner


def test_groups_have_topics_of_their_own_with_names_that_a_broker_takes() -> None:
    ours, theirs = topology(ROUTED).inner, topology(ROUTED, "another").inner

    assert not set(ours) & set(theirs)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name) for name in ours)
    assert topology(ROUTED).inner == ours
