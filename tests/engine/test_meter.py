"""What is counted reads as Prometheus expects it."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reactor.engine.meter import LAG_EVERY_SECS, READINGS, Meter, watch_lag


def samples(meter: Meter) -> dict[tuple[str, ...], float]:
    """Every sample as a Prometheus server reads it, by name and labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(meter.render())
        for sample in family.samples
    }


def test_events_are_counted_by_what_became_of_them():
    """One metric, with the outcome as its label."""
    meter = Meter()
    meter.accepted, meter.duplicates, meter.unwanted, meter.refused = 4, 3, 2, 1

    found = samples(meter)

    outcomes = ("accepted", "duplicate", "unwanted", "refused")
    assert [found["reactor_events_total", outcome] for outcome in outcomes] == [4, 3, 2, 1]


def test_executions_are_counted_by_flow_and_state():
    """Each pair that occurred has its own number."""
    meter = Meter()
    for state in ("ok", "ok", "failed"):
        meter.finished("push", state)

    found = samples(meter)

    assert found["reactor_executions_total", "push", "ok"] == 2
    assert found["reactor_executions_total", "push", "failed"] == 1


def test_a_fresh_meter_shows_every_counter_at_zero():
    """A number that may grow is there from the start, so that rates can be computed."""
    found = samples(Meter())

    names = ("step_attempts", "step_failures", "decision_errors", "dead_letters")
    assert [found[f"reactor_{name}_total",] for name in (*names, "reconciler_repairs")] == [0.0] * 5


def test_batches_fall_into_buckets():
    """A bucket counts what is not above its bound; the sum and the count are exact."""
    meter = Meter()
    for size in (1, 2, 3, 5000):
        meter.commits.observe(size)

    found = samples(meter)

    assert found["reactor_commit_batch_size_bucket", "2.0"] == 2
    assert found["reactor_commit_batch_size_bucket", "4.0"] == 3
    assert found["reactor_commit_batch_size_bucket", "+Inf"] == 4
    assert found["reactor_commit_batch_size_count",] == 4
    assert found["reactor_commit_batch_size_sum",] == 5006


def test_readings_are_asked_for_when_the_metrics_are():
    """A gauge shows the value of that moment, with its label where it has one."""
    meter = Meter()
    queue = [1.0]
    meter.read("store_queue", lambda: queue[0])
    meter.read("sources", lambda: {"up": 2, "retrying": 1})

    queue[0] = 7.0
    found = samples(meter)

    assert found["reactor_store_queue",] == 7
    assert found["reactor_sources", "up"] == 2
    assert found["reactor_sources", "retrying"] == 1


def test_only_known_readings_are_taken():
    """The list of metrics is closed, so that the manual can name them all."""
    with pytest.raises(KeyError):
        Meter().read("anything", lambda: 1.0)

    assert "uptime_seconds" in READINGS


async def test_the_lag_is_what_a_wait_took_too_long():
    """A wake 20 ms late falls into the bucket up to 25 ms."""
    meter = Meter()
    late = iter([0.02, 0.0])

    class Hand:
        secs = 0.0

        def now_ms(self) -> int:
            return 0

        def monotonic_secs(self) -> float:
            return self.secs

    clock = Hand()

    async def wait(secs: float) -> None:
        over = next(late, None)
        if over is None:
            raise asyncio.CancelledError
        clock.secs += secs + over

    with pytest.raises(asyncio.CancelledError):
        await watch_lag(meter, clock, wait)

    found = samples(meter)
    assert LAG_EVERY_SECS > 0
    assert found["reactor_event_loop_lag_seconds_bucket", "0.001"] == 1
    assert found["reactor_event_loop_lag_seconds_bucket", "0.025"] == 2
