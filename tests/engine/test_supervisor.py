"""Sources are kept up, and let go when told."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from reactor.engine.supervisor import Supervisor
from reactor.errors import SourceFailed


class Hand:
    """A clock turned by hand."""

    secs = 0.0

    def now_ms(self) -> int:
        return int(self.secs * 1000)

    def monotonic_secs(self) -> float:
        return self.secs


class Waits:
    """Waits that end when the test says so."""

    def __init__(self, clock: Hand) -> None:
        self.clock = clock
        self.asked: asyncio.Queue[float] = asyncio.Queue()
        self._go = asyncio.Event()

    async def __call__(self, secs: float) -> None:
        """Note the span and wait to be let go."""
        await self.asked.put(secs)
        await self._go.wait()
        self._go.clear()

    def over(self, secs: float) -> None:
        """Time passes and the wait ends."""
        self.clock.secs += secs
        self._go.set()


class Scene:
    """A supervisor with a clock, waits and a source that does what the test hands it."""

    def __init__(self) -> None:
        self.clock = Hand()
        self.wait = Waits(self.clock)
        self.supervisor = Supervisor(
            clock=self.clock,
            chance=lambda: 0.5,
            wait=self.wait,
            redact=lambda text: text.replace("s3cret", "***"),
            stop_secs=0.05,
        )
        self.begun: asyncio.Queue[None] = asyncio.Queue()
        self.ends: asyncio.Queue[BaseException | None] = asyncio.Queue()

    async def run(self) -> None:
        """The source: begins, then ends as the test says."""
        await self.begun.put(None)
        end = await self.ends.get()
        if end is not None:
            raise end

    async def fail(self, error: BaseException | None = None) -> float:
        """The source begins and fails; the delay that follows."""
        await self.begun.get()
        await self.ends.put(error)
        return await self.wait.asked.get()

    @property
    def state(self) -> tuple[str, int, int, str | None]:
        """State, since, restarts and error of the one source."""
        (state,) = self.supervisor.states()
        return state.state, state.since_ms, state.restarts, state.error


@pytest.fixture
async def scene():
    """A scene whose supervisor is closed in the end."""
    made = Scene()
    async with made.supervisor:
        yield made


async def test_a_source_is_starting_until_it_says_that_it_is_up(scene):
    """`up` comes from the source, with a word about what it does."""
    scene.supervisor.start("http:1", scene.run)
    await scene.begun.get()
    before = scene.state

    scene.clock.secs = 2.0
    scene.supervisor.up("http:1", "2 routes")

    (state,) = scene.supervisor.states()
    assert before == ("starting", 0, 0, None)
    assert (state.state, state.since_ms, state.detail) == ("up", 2000, "2 routes")


async def test_a_failed_source_is_run_again(scene):
    """The error is kept, and the restart is counted."""
    scene.supervisor.start("kafka:1", scene.run)

    await scene.fail(SourceFailed("broker gone, password s3cret"))
    failed = scene.state
    scene.wait.over(0.5)
    await scene.begun.get()

    assert failed == ("retrying", 0, 0, "broker gone, password ***")
    assert scene.state == ("retrying", 0, 1, "broker gone, password ***")


async def test_delays_grow_with_full_jitter_up_to_a_minute(scene):
    """With chance 0.5 the delays are half of 1 2 4 8 16 32 60 60 seconds."""
    scene.supervisor.start("kafka:1", scene.run)
    delays = []
    for _ in range(8):
        delays.append(await scene.fail(OSError("no")))
        scene.wait.over(delays[-1])

    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


@pytest.mark.parametrize(("asked_secs", "delay"), [(120.0, 120.0), (0.1, 0.5), (1e9, 3600.0)])
async def test_what_the_other_side_asks_for_is_obeyed(scene, asked_secs, delay):
    """A longer wait that it asks for is kept, within an hour; a shorter one is not."""
    scene.supervisor.start("poll:1", scene.run)

    waited = await scene.fail(SourceFailed("busy", after_secs=asked_secs))

    assert waited == delay


async def test_a_peer_that_is_away_is_asked_every_few_seconds(scene):
    """It may be back any moment: the delays do not grow beyond half of 2.5 seconds here."""
    scene.supervisor.start("kafka:1", scene.run)
    delays = []
    for _ in range(5):
        delays.append(await scene.fail(SourceFailed("gone", lost=True)))
        scene.wait.over(delays[-1])

    assert delays == [0.5, 1.0, 1.25, 1.25, 1.25]


async def test_the_lag_is_kept_with_the_state(scene):
    """What a source says of its peer outlives its next words."""
    scene.supervisor.start("kafka:1", scene.run)
    await scene.begun.get()

    scene.supervisor.lag("kafka:1", 7)
    scene.supervisor.up("kafka:1")
    scene.supervisor.lag("gone", 1)

    (state,) = scene.supervisor.states()
    assert (state.state, state.lag) == ("up", 7)


async def test_a_source_that_keeps_failing_is_down(scene, caplog):
    """The first failure is a warning, the seventh an error, those between are silent."""
    scene.supervisor.start("kafka:1", scene.run)
    states = []
    with caplog.at_level(logging.INFO):
        for _ in range(8):
            delay = await scene.fail(OSError("no"))
            states.append(scene.state[0])
            scene.wait.over(delay)
        await scene.begun.get()
        scene.supervisor.up("kafka:1")

    assert states == ["retrying"] * 6 + ["down"] * 2
    assert scene.state[0] == "up"
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "a source failed; it is tried again"),
        ("ERROR", "a source stays down; it is tried again"),
        ("INFO", "a source is back"),
    ]


@pytest.mark.parametrize(("up_secs", "next_delay"), [(60.0, 0.5), (59.0, 2.0)])
async def test_after_a_minute_up_the_delays_begin_anew(scene, up_secs, next_delay):
    """A source that worked for a minute is tried again soon; a flapping one is not."""
    scene.supervisor.start("kafka:1", scene.run)
    for _ in range(2):
        scene.wait.over(await scene.fail(OSError("no")))
    await scene.begun.get()
    await scene.begun.put(None)
    scene.supervisor.up("kafka:1")

    scene.clock.secs += up_secs

    assert await scene.fail(OSError("no")) == next_delay


async def test_a_source_that_returns_has_failed(scene):
    """Sources run until they are cancelled; one that just ends is run again."""
    scene.supervisor.start("exec:1", scene.run)

    await scene.fail(None)

    assert scene.state == ("retrying", 0, 0, "the source ended by itself")


async def test_a_failure_in_a_group_of_tasks_is_a_failure(scene):
    """Python 3.11 leaves such a task marked as cancelled, which it is not."""

    async def run() -> None:
        async def fail() -> None:
            raise SourceFailed("one of two broke")

        with suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        raise SourceFailed("one of two broke")

    scene.supervisor.start("plugin:1", run)

    assert await scene.wait.asked.get() == 0.5
    assert scene.state == ("retrying", 0, 0, "one of two broke")


async def test_a_cancellation_that_nobody_asked_for_is_a_failure(scene):
    """A library that leaks a cancellation does not end the source for good."""
    scene.supervisor.start("mqtt:1", scene.run)

    await scene.fail(asyncio.CancelledError())

    assert scene.state == ("retrying", 0, 0, "the source was cancelled from inside")


async def test_a_fatal_failure_stops_the_source(scene, caplog):
    """What only a person can mend is not tried again, and a late `up` does not revive it."""
    scene.supervisor.start("mqtt:1", scene.run)
    await scene.begun.get()

    await scene.ends.put(SourceFailed("bad password", fatal=True))
    await asyncio.wait([scene.supervisor._sources["mqtt:1"].task])
    scene.supervisor.up("mqtt:1")

    assert scene.state == ("stopped", 0, 0, "bad password")
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_stopping_waits_until_the_source_has_cleaned_up(scene):
    """After `stop` the source's own cleanup is done and it is forgotten."""
    cleaned = []

    async def run() -> None:
        try:
            await scene.run()
        finally:
            cleaned.append("closed")

    scene.supervisor.start("http:1", run)
    await scene.begun.get()

    await scene.supervisor.stop("http:1", "unknown")

    assert cleaned == ["closed"]
    assert scene.supervisor.states() == []


async def test_a_source_may_start_again_after_it_was_stopped(scene):
    """Twice at the same time it may not."""
    scene.supervisor.start("http:1", scene.run)
    with pytest.raises(ValueError, match="http:1"):
        scene.supervisor.start("http:1", scene.run)
    await scene.supervisor.stop("http:1")

    scene.supervisor.start("http:1", scene.run)

    assert scene.state[0] == "starting"


def returning() -> Callable[[asyncio.Event], Awaitable[None]]:
    """A source that answers its cancellation by returning."""

    async def run(begun: asyncio.Event) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    return run


async def test_a_source_that_swallows_its_cancellation_is_not_run_again(scene):
    """Returning when cancelled is an end, not a failure."""
    begun = asyncio.Event()
    scene.supervisor.start("exec:1", lambda: returning()(begun))
    await begun.wait()

    await scene.supervisor.stop("exec:1")

    assert scene.wait.asked.empty()


async def test_a_source_that_does_not_end_is_left_behind(scene, caplog):
    """Stopping is bounded; the log names the source."""
    begun, let_go = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        begun.set()
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    scene.supervisor.start("nats:1", stubborn)
    await begun.wait()

    await scene.supervisor.stop("nats:1")
    let_go.set()

    assert [(r.levelname, r.__dict__["source"]) for r in caplog.records] == [("ERROR", "nats:1")]


async def test_closing_stops_every_source_also_those_that_wait(scene):
    """Nothing runs or waits after close."""
    scene.supervisor.start("a", scene.run)
    await scene.fail(OSError("no"))
    scene.supervisor.start("b", scene.run)
    await scene.begun.get()

    await scene.supervisor.close()

    assert scene.supervisor.states() == []
    assert [task.get_name() for task in asyncio.all_tasks() if "source" in task.get_name()] == []
