"""How good the scores were, once the labels of their payments are in.

Payments and labels meet in cohorts, an hour of event time each, which are judged when
they are old enough; what was judged is counted. Knows no broker and no clock on the
wall: it is told what was read.

Counted once, whatever happens
------------------------------
What is known at any moment follows from three things: how far each partition was read
(positions), until which event time cohorts were judged (the horizon), and what was
counted until then (the tally). All three are committed in one request to a group of its
own: positions and tally as text beside the offsets.

- *The join table needs no store.* A payment that waits is in the log, at or behind the
  offset of the oldest record of a cohort that is not judged. That offset is committed
  for its partition, the position stands beside it. A successor reads what lies between
  once more: records of judged cohorts are dropped in silence, the others fill the same
  cohorts with the same rows, and none is counted as read again. Before all of them are
  back, nothing is judged and nothing committed.
- *Nothing is counted twice.* A cohort is judged once: the horizon moves past it in the
  same commit that holds its counts. Counts are shown only after that commit returned,
  so a successor begins with no less than what was ever shown.
- *Nothing is lost.* What was judged but not committed is judged again, from the same
  records. What was committed but never scraped is in the tally: counters go on from
  it, they do not begin at 0. Prometheus sees a counter that rises, with a gap at most,
  and `increase()` over both lives is what one life would have counted.

It follows that two processes of one group count the same twice: run one.
"""

from worker.truth.join import Join, Maturity, Place
from worker.truth.loop import TruthLoop
from worker.truth.showing import TruthMetrics, truth_exposition
from worker.truth.tally import BIN_COUNT, DECISIONS, LABELS, ModelTally, Tally

__all__ = [
    "BIN_COUNT",
    "DECISIONS",
    "LABELS",
    "Join",
    "Maturity",
    "ModelTally",
    "Place",
    "Tally",
    "TruthLoop",
    "TruthMetrics",
    "truth_exposition",
]
