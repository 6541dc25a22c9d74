"""What is said when the traffic is over, before the audit speaks."""

from __future__ import annotations

import math

from demo.figures import percentile
from demo.tally import Tally

_PERCENTILES = (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))


def summary(tally: Tally) -> list[str]:
    """Return lines about the whole of the live traffic."""
    counts, took = tally.counts, tally.latencies.since()
    times = (
        f"{name} {percentile(took, share):,.0f} ms" for name, share in _PERCENTILES
    )
    answered = f"{counts.scores:,} scores and {counts.dead_letters:,} dead letters"
    before = f"{tally.history:,} payments of history before"
    lines = [f"live     {counts.records:,} records: {answered}; {before}"]
    if took:
        lines.append(f"latency  {', '.join(times)} from a record's timestamp to its answer")
    if not math.isnan(counts.precision) and not math.isnan(counts.recall):
        lines.append(
            f"alerts   {counts.flagged:,} flagged, {counts.caught:,} of them frauds "
            f"(precision {counts.precision:.2f}), of {counts.frauds:,} frauds in all "
            f"(recall {counts.recall:.2f})"
        )
    return lines


#: What an audit of the mock broker can claim.
AT_LEAST_ONCE = """\
note     This broker has no commits across topics and forgets all but the latest few
         megabytes: the audit claims no more than that what is still there was answered
         rightly, at least once. With Java and Maven the demo runs on Apache Kafka."""
