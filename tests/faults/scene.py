"""Where a fault is played: a stream under load, its workers, and who watches."""

from __future__ import annotations

from tests.faults.proxy import Proxy
from tests.faults.watch import ScoreWatch, now_ms
from tests.live import LiveWorker, Stream, Traffic
from worker.kafka.admin import Cluster

#: Payments a second: enough to have a commit open most of the time.
RATE = 500


class Scene:
    """One fault's stream.

    Attributes
    ----------
    struck
        How often the fault really struck.
    seconds
        Until the next score: one figure for each strike and partition.
    notes
        What else was seen, for the reader of the table.
    inputs
        Records that are no longer in the log but had to be answered.
    """

    def __init__(self, stream: Stream, watch: ScoreWatch, proxy: Proxy | None):
        self.stream = stream
        self.watch = watch
        self.traffic = Traffic(stream)
        self.struck = 0
        self.seconds: list[float] = []
        self.notes: list[str] = []
        self.inputs: set[tuple[int, int]] = set()
        self._proxy = proxy

    @property
    def proxy(self) -> Proxy:
        """What stands between workers and broker."""
        assert self._proxy is not None
        return self._proxy

    def start(self, instance: str = "0", **settings: str) -> LiveWorker:
        """Start a worker, behind the proxy where there is one."""
        if self._proxy is not None:
            settings["FRAUD_BOOTSTRAP_SERVERS"] = self._proxy.address
        return self.stream.start(instance, **settings)

    def struck_at(self, moment_ms: int) -> list[float]:
        """Count a strike, wait until every partition is scored again; keep how long."""
        self.struck += 1
        seconds = self.watch.await_after(moment_ms)
        self.seconds += seconds
        return seconds

    def await_scores(self) -> None:
        """Wait until a score made from now on is there on every partition."""
        self.watch.await_after(now_ms())

    def note_silences(self, since_ms: int) -> None:
        """Take the longest time without a score for what a fault costs that stops none.

        Of each partition, from that moment until now.
        """
        self.seconds += self.watch.silences(since_ms, now_ms())
        self.notes.append("seconds are the longest silence of each partition")

    def committed(self) -> int:
        """Return the sum of the group's offsets."""
        with Cluster(self.stream.clients) as cluster:
            places = cluster.partitions(self.stream.transactions)
            offsets = cluster.committed(places).values()
            return sum(offset.offset for offset in offsets if offset is not None)
