"""What is said when the traffic is over, before the audit speaks."""

from __future__ import annotations

from collections.abc import Iterator

from demo.figures import percentile
from demo.tally import Tally

_PERCENTILES = (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))


def summary(tally: Tally) -> Iterator[str]:
    """Yield lines about the whole of the live traffic."""
    counts, took = tally.counts, tally.latencies.since()
    answers = f"{counts.scores:,} scores and {counts.dead_letters:,} dead letters"
    yield f"history  {tally.history:,} payments"
    yield f"live     {counts.records:,} records: {answers}"
    if took:
        times = (f"{n} {percentile(took, share):,.0f} ms" for n, share in _PERCENTILES)
        yield f"latency  {', '.join(times)}: record's time to answer read"
    if counts.flagged and counts.frauds:
        right = f"{counts.caught:,} of them frauds: precision {counts.precision:.2f}"
        found = f"{counts.caught:,} of them flagged: recall {counts.recall:.2f}"
        yield f"flagged  {counts.flagged:,}, {right}"
        yield f"frauds   {counts.frauds:,}, {found}"


#: What an audit of the mock broker can claim.
AT_LEAST_ONCE = """\
note     This broker has no commits across topics and forgets all but the latest few
         megabytes: the audit claims no more than that what is still there was answered
         rightly, at least once. With Java and Maven the demo runs on Apache Kafka."""
