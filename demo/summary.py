"""What is said when the traffic is over, before the audit speaks."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from demo.figures import percentile
from demo.tally import Flagged, Tally
from demo.view import minute

_PERCENTILES = (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))

#: Flagged payments that are shown with their reasons.
_EXAMPLES = 3

#: How long a line may be.
_WIDTH = 88


def summary(tally: Tally) -> Iterator[str]:
    """Yield lines about the whole of the live traffic."""
    counts, took = tally.counts, tally.latencies.since()
    answers = f"{counts.scores:,} scores and {counts.dead_letters:,} dead letters"
    yield f"history  {tally.history:,} payments and {tally.history_labels:,} labels"
    yield f"live     {counts.records:,} records: {answers}; {counts.labels:,} labels"
    if took:
        times = (f"{n} {percentile(took, share):,.0f} ms" for n, share in _PERCENTILES)
        yield f"latency  {', '.join(times)}: record's time to answer read"
    if counts.flagged and counts.frauds:
        right = f"{counts.caught:,} of them frauds: precision {counts.precision:.2f}"
        found = f"{counts.caught:,} of them flagged: recall {counts.recall:.2f}"
        yield f"flagged  {counts.flagged:,}, {right}"
        yield f"frauds   {counts.frauds:,}, {found}"
    for payment in examples(tally.flagged):
        yield from _in_words(payment)


def examples(flagged: tuple[Flagged, ...]) -> list[Flagged]:
    """Return a few payments, each flagged for another first reason."""
    found: dict[str, Flagged] = {}
    for payment in flagged:
        for reason in payment.reasons[:1]:
            found.setdefault(reason.rpartition(": ")[0], payment)
    return list(found.values())[:_EXAMPLES]


def _in_words(payment: Flagged) -> Iterator[str]:
    """Yield who paid what, and a reason on each line."""
    who = f"customer {payment.customer} at terminal {payment.terminal}"
    truth = "fraud" if payment.is_fraud else "genuine"
    paid = f"{payment.amount:,.2f}: score {payment.score:.3f}, {truth}"
    yield f"example  {minute(payment.event_time)}, {who}, {paid}"
    for reason in payment.reasons:
        yield from textwrap.wrap(
            reason,
            _WIDTH,
            initial_indent=" " * 9 + "- ",
            subsequent_indent=" " * 11,
        )


#: What an audit of the mock broker can claim.
AT_LEAST_ONCE = """\
note     This broker has no commits across topics and forgets all but the latest few
         megabytes: the audit claims no more than that what is still there was answered
         rightly, at least once. With Java and Maven the demo runs on Apache Kafka."""
