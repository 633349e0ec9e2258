"""Flows inside a Python program."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest

import reactor.errors
from reactor import Reactor, action, flow
from reactor.errors import InvalidFlow, UsageError
from reactor.plugin.spec import Config, doc


class Told(Config, frozen=True):
    """What is told."""

    text: Annotated[str, doc("The text.", ["hi"])]


def telling(heard: "asyncio.Queue[str]") -> Any:
    """An action that tells the test."""

    @action("tell", examples=["tell: {text: hi}"])
    async def tell(config: Told, context: Any) -> int:
        """Tell the test."""
        await heard.put(config.text)
        return len(config.text)

    return tell


def paid(word: str = "paid") -> str:
    """A flow that tells who paid."""
    return flow(
        "paid",
        when={"event": {"type": "order.paid"}},
        only_if="event.data.total > 0",
        do=[{"id": "tell", "tell": {"text": word + " ${{ event.data.who }}"}}],
    )


@pytest.fixture
def heard() -> "asyncio.Queue[str]":
    """What flows told."""
    return asyncio.Queue()


@pytest.fixture
def made(tmp_path: Path, heard: "asyncio.Queue[str]") -> Any:
    """Makes a reactor in the folder of the test, as often as it is asked."""
    return lambda: Reactor(
        flows=tmp_path / "flows", state=tmp_path / "state", specs=[telling(heard)]
    )


async def told(heard: "asyncio.Queue[str]") -> str:
    """The next thing that was told."""
    async with asyncio.timeout(10):
        return await heard.get()


async def test_an_event_runs_a_flow(made: Any, heard: "asyncio.Queue[str]") -> None:
    """A flow of Python values with an action of the program runs for an emitted event."""
    async with made() as running:
        await running.add(paid())

        receipt = await running.emit("order.paid", {"who": "ann", "total": 7})

        assert await told(heard) == "paid ann"
    assert [started.flow for started in receipt.executions] == ["paid"]


async def test_an_unwanted_event_starts_nothing(made: Any) -> None:
    """The receipt of an event that no flow wanted has no event and no execution."""
    async with made() as running:
        await running.add(paid())

        receipt = await running.emit("order.paid", {"who": "ann", "total": 0})

        assert (receipt.event, receipt.executions) == (None, ())


async def test_an_id_is_taken_once(made: Any) -> None:
    """The same id again is a duplicate with the first one's ids, also in the next run."""
    async with made() as running:
        await running.add(paid())
        first = await running.emit("order.paid", {"who": "ann", "total": 7}, id="1")
    async with made() as running:
        await running.add(paid())

        second = await running.emit("order.paid", {"who": "ann", "total": 7}, id="1")

    assert second.duplicate
    assert second.executions == first.executions


async def test_a_flow_is_started_by_hand(
    made: Any, heard: "asyncio.Queue[str]", tmp_path: Path
) -> None:
    """`start` gives inputs to a flow of the folder."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "greet.yaml").write_text(
        "flow: greet\nwhen: {call: {inputs: {name: {type: string}}}}\n"
        "do:\n  - tell:\n      text: hello ${{ event.data.name }}\n"
    )
    async with made() as running:
        await running.start("greet", {"name": "bob"})

        assert await told(heard) == "hello bob"


async def test_what_is_added_again_is_replaced(made: Any, heard: "asyncio.Queue[str]") -> None:
    """A text under the name of an earlier one takes its place."""
    async with made() as running:
        await running.add(paid(), name="mine")
        await running.add(paid("PAID"), name="mine")

        await running.emit("order.paid", {"who": "ann", "total": 7})

        assert await told(heard) == "PAID ann"


async def test_a_wrong_flow_changes_nothing(made: Any, heard: "asyncio.Queue[str]") -> None:
    """The problems are raised, the flow that was there goes on."""
    async with made() as running:
        await running.add(paid(), name="mine")

        with pytest.raises(InvalidFlow, match="no action 'tel'; did you mean tell"):
            await running.add(paid().replace('"tell": {', '"tel": {'), name="mine")

        await running.emit("order.paid", {"who": "ann", "total": 7})
        assert await told(heard) == "paid ann"


async def test_a_second_flow_of_a_name_is_refused(made: Any) -> None:
    """Two texts may not have a flow of one name; the first one goes on."""
    async with made() as running:
        await running.add(paid())

        with pytest.raises(InvalidFlow, match="two flows are called 'paid'"):
            await running.add(paid("again"))

        receipt = await running.emit("order.paid", {"who": "ann", "total": 7})
        assert len(receipt.executions) == 1


async def test_what_was_accepted_ends_in_the_next_run(
    made: Any, heard: "asyncio.Queue[str]"
) -> None:
    """Nothing is left open when a program ends at once and starts again."""
    async with made() as running:
        await running.add(paid())
        for number in range(20):
            await running.emit("order.paid", {"who": number, "total": 1})
    async with made():
        names = {await told(heard) for _ in range(20)}

    assert names == {f"paid {number}" for number in range(20)}


async def test_it_must_run_to_be_asked(made: Any) -> None:
    """Outside of `async with` an event is refused with the remedy."""
    running = made()

    with pytest.raises(UsageError, match="async with Reactor"):
        await running.emit("order.paid")


async def test_a_failed_disk_is_raised(made: Any) -> None:
    """When the store stops, whoever waits hears of it, and so does who closes."""
    running = await made().__aenter__()
    await running.add(paid())
    running._daemon.store._writer.fail(reactor.errors.StorageFailed("the disk is gone"))

    with pytest.raises(reactor.errors.StorageFailed):
        await running.emit("order.paid", {"who": "ann", "total": 7})

    with pytest.raises(reactor.errors.StorageFailed):
        await running.__aexit__()


def test_importing_the_package_imports_nothing() -> None:
    """`import reactor` loads no room; the API comes when it is asked for."""
    code = (
        "import sys, json, reactor; print(json.dumps([m for m in sys.modules if 'reactor.' in m]))"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)

    assert json.loads(found.stdout) == []
