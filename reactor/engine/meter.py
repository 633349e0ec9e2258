"""What the engine counts: plain numbers, turned into Prometheus' text when somebody asks."""

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from reactor.clock import Clock

BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
LAG_EVERY_SECS = 0.5

# What is read at the moment of asking: name, meaning, and the label of a reading with many values.
READINGS: Mapping[str, tuple[str, str | None]] = {
    "open_executions": ("Executions that have not ended, by state.", "state"),
    "store_queue": ("Writes that wait for the next commit.", None),
    "store_bytes": ("Bytes that the state folder takes.", None),
    "sources": ("Sources by state.", "state"),
    "source_up": ("1 where a source works.", "source"),
    "source_restarts": ("How often a source was started again.", "source"),
    "source_lag": ("What waits at the peer: events, or a log's transactions or bytes.", "source"),
    "log_lines_dropped": ("Log lines lost because nobody read them fast enough.", None),
    "uptime_seconds": ("Seconds since the daemon started.", None),
}
# Attribute, name and meaning of what only grows.
COUNTED = (
    ("dead", "dead_letters", "Dead letters written."),
    ("decision_errors", "decision_errors", "Conditions that could not be judged."),
    ("steps", "step_attempts", "Attempts at steps."),
    ("step_failures", "step_failures", "Attempts at steps that failed."),
    ("parked", "executions_parked", "Executions that gave their slot back to wait."),
    ("repaired", "reconciler_repairs", "Executions without an owner that were queued again."),
)
# Outcome and attribute.
OUTCOMES = (
    ("accepted", "accepted"),
    ("duplicate", "duplicates"),
    ("unwanted", "unwanted"),
    ("refused", "refused"),
    ("late", "late"),
)


class Histogram:
    """How often a number fell between which bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one number."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> Iterator[tuple[str, float]]:
        """Each upper bound with how many numbers are not above it."""
        below = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            below += count
            yield ("+Inf" if bound == float("inf") else str(float(bound))), below


class Meter:
    """Plain numbers that the engine adds to; `read` names what is asked for only when needed."""

    def __init__(self) -> None:
        self.accepted = 0
        self.duplicates = 0
        self.unwanted = 0
        self.refused = 0
        self.late = 0
        self.dead = 0
        self.decision_errors = 0
        self.steps = 0
        self.step_failures = 0
        self.parked = 0
        self.repaired = 0
        self.errors_of: dict[tuple[str, str], int] = {}
        self.ended: dict[tuple[str, str], int] = {}
        self.commits = Histogram(BATCH_BOUNDS)
        self.lag = Histogram(LAG_BOUNDS)
        self._readings: dict[str, Callable[[], float | Mapping[str, float]]] = {}

    def decided_wrong(self, flow: str, trigger: str) -> None:
        """A condition could not be judged."""
        self.decision_errors += 1
        self.errors_of[flow, trigger] = self.errors_of.get((flow, trigger), 0) + 1

    def finished(self, flow: str, state: str) -> None:
        """An execution ended."""
        self.ended[flow, state] = self.ended.get((flow, state), 0) + 1

    def read(self, name: str, reading: Callable[[], float | Mapping[str, float]]) -> None:
        """Ask for one of `READINGS` like this whenever the metrics are rendered."""
        if name not in READINGS:
            raise KeyError(name)
        self._readings[name] = reading

    def render(self) -> str:
        """Every metric in Prometheus' text form."""
        from prometheus_client.exposition import generate_latest
        from prometheus_client.registry import CollectorRegistry

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry).decode()

    def collect(self) -> Iterator[Any]:
        """The metrics as prometheus-client's own data."""
        from prometheus_client import metrics_core as prometheus

        events = prometheus.CounterMetricFamily(
            "reactor_events", "Events by what became of them.", labels=["outcome"]
        )
        for outcome, attribute in OUTCOMES:
            events.add_metric([outcome], getattr(self, attribute))
        yield events
        ended = prometheus.CounterMetricFamily(
            "reactor_executions", "Executions that ended.", labels=["flow", "state"]
        )
        for labels, count in sorted(self.ended.items()):
            ended.add_metric(labels, count)
        yield ended
        for attribute, name, meaning in COUNTED:
            yield prometheus.CounterMetricFamily(
                f"reactor_{name}", meaning, value=getattr(self, attribute)
            )
        for name, meaning, histogram in (
            ("reactor_commit_batch_size", "Writes in one commit of the store.", self.commits),
            ("reactor_event_loop_lag_seconds", "How late the event loop woke.", self.lag),
        ):
            yield prometheus.HistogramMetricFamily(
                name, meaning, buckets=list(histogram.buckets()), sum_value=histogram.total
            )
        for name, reading in self._readings.items():
            meaning, label = READINGS[name]
            found = reading()
            gauge = prometheus.GaugeMetricFamily(
                f"reactor_{name}", meaning, labels=None if label is None else [label]
            )
            values = found.items() if isinstance(found, Mapping) else [("", found)]
            for value, number in values:
                gauge.add_metric([] if label is None else [value], number)
            yield gauge


async def watch_lag(meter: Meter, clock: Clock, wait: Callable[[float], Awaitable[None]]) -> None:
    """Measure how late the event loop wakes, until cancelled."""
    while True:
        due = clock.monotonic_secs() + LAG_EVERY_SECS
        await wait(LAG_EVERY_SECS)
        meter.lag.observe(max(0.0, clock.monotonic_secs() - due))
