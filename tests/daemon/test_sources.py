"""Which sources run, and which are left alone."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Annotated, Any

import pytest

from reactor.clock import SystemClock
from reactor.daemon.sources import Sources, SourceWorld
from reactor.engine.router import Router
from reactor.engine.supervisor import Supervisor
from reactor.errors import NotFound
from reactor.loading.load import Loading, load_text
from reactor.model.flow import Flow
from reactor.plugin.catalog import Catalog
from reactor.plugin.context import Files, Network
from reactor.plugin.spec import Config, doc, source
from reactor.store.sqlite import open_memory

FLOW = """
flow: {name}
vars: {{size: 1, other: {other}}}
when:
  ticker: {{name: {ticker}, token: "${{{{ secrets.token }}}}", size: "${{{{ vars.size }}}}"}}
do: [{{log: {text}}}]
"""


class Ticker(Config, frozen=True):
    """What a ticker is called."""

    name: Annotated[str, doc("Its name.", "a")]
    token: Annotated[str, doc("Its token.", "x")] = ""
    size: Annotated[int, doc("Its size.", 1)] = 0


class House:
    """Sources over a router, and what they did."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.secrets: dict[str, str] = {"token": "old"}
        self.sources: Sources
        house = self

        @source("ticker", identity=("name",), examples=["ticker: {name: a}"])
        async def ticker(config: Ticker, emit: Any, context: Any) -> None:
            """Nothing, until it is cancelled."""
            house.did.append(f"start {config.name} {config.token} {config.size}")
            context.up()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                house.did.append(f"stop {config.name} {config.token} {config.size}")

        self.catalog = Catalog([ticker])
        self.loading = Loading(catalog=self.catalog)

    def secret(self, name: str) -> str:
        """A secret's value."""
        if name not in self.secrets:
            raise NotFound(f"secret {name!r} is nowhere")
        return self.secrets[name]

    def flow(self, name: str, ticker: str = "a", text: str = "hi", other: int = 1) -> Flow:
        """A flow that listens to a ticker."""
        written = FLOW.format(name=name, ticker=ticker, text=text, other=other)
        loaded = load_text(written, f"{name}.yaml", self.loading)
        assert loaded.flows, loaded.problems
        return loaded.flows[0]

    async def follow(self, *flows: Flow) -> list[str]:
        """Follow these flows; what the sources did since the last time."""
        await self.sources.follow(Router(flows))
        return await self.since()

    async def since(self) -> list[str]:
        """What the sources did, once they had their turn."""
        for _ in range(5):
            await asyncio.sleep(0)
        did, self.did = self.did, []
        return did


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Sources under supervision, with a store in memory."""
    made, clock = House(), SystemClock()
    store = await open_memory(on_failure=lambda error: pytest.fail(str(error)), clock=clock)
    supervisor = Supervisor(
        clock=clock, chance=lambda: 0.0, wait=asyncio.sleep, redact=lambda text: text
    )
    world = SourceWorld(
        clock=clock,
        catalog=made.catalog,
        store=store,
        shared=SimpleNamespace(),
        secret=made.secret,
        env={},
        connection=lambda _kind, _name: pytest.fail("no connection is asked for"),
        routes=lambda _: SimpleNamespace(),
        files=Files(base="."),
        network=Network(),
        emit=lambda _: SimpleNamespace(),
        wait_until=lambda _: pytest.fail("nothing waits for a time"),
        chance=lambda: 0.0,
        allow_unauthenticated=False,
        listens_on_loopback=True,
    )
    async with supervisor:
        made.sources = Sources(world, supervisor)
        yield made
    await store.close(clean=True)


async def test_a_source_starts_once_for_two_flows(house: House) -> None:
    """Equal subscriptions are one source, which knows its flows."""
    did = await house.follow(house.flow("one"), house.flow("two"))

    assert did == ["start a old 1"]
    (want,) = house.sources.running.values()
    assert want.flows == ("one", "two")


async def test_other_steps_leave_the_source_alone(house: House) -> None:
    """Steps, constants it does not use, flows that join or leave: nothing is restarted."""
    await house.follow(house.flow("two"))

    did = await house.follow(house.flow("one", other=2), house.flow("two", text="bye"))
    did += await house.follow(house.flow("one", other=3))

    assert did == []


async def test_what_nobody_asks_for_stops(house: House) -> None:
    """A flow that goes takes its source along, another one's starts."""
    await house.follow(house.flow("one", "a"))

    did = await house.follow(house.flow("one", "b"))

    assert sorted(did) == ["start b old 1", "stop a old 1"]


async def test_a_rotated_secret_restarts_its_source(house: House) -> None:
    """The old one has ended when the new one begins; the same value changes nothing."""
    await house.follow(house.flow("one"))
    house.sources.renew()
    assert await house.since() == []
    house.secrets["token"] = "new"

    house.sources.renew()

    assert await house.since() == ["stop a old 1", "start a new 1"]


async def test_a_missing_secret_is_found_later(house: House) -> None:
    """A source whose secret is not there starts as soon as it is."""
    del house.secrets["token"]
    assert await house.follow(house.flow("one")) == []
    house.secrets["token"] = "late"

    house.sources.renew()

    assert await house.since() == ["start a late 1"]
