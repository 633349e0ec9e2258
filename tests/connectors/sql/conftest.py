"""Databases for tests, and a daemon's end of a source that can be looked into and killed."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from reactor.connectors.sql.database import Session
from reactor.connectors.sql.dsn import database
from reactor.model.event import Receipt, Received
from reactor.plugin.context import Files
from reactor.plugin.decode import decode
from reactor.plugin.spec import Spec
from tests.brokers import listening
from tests.brokers.mariadb import Mariadb
from tests.brokers.postgres import Postgres


class Crashed(Exception):
    """The daemon ended after a commit and before it could answer."""


class Ears(listening.Ears):
    """What a daemon keeps of one subscription, and how often it wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0

    async def many(self, received: Sequence[Received]) -> list[Receipt]:
        self.commits += 1
        return await super().many(received)

    def crash_after(self, batches: int) -> None:
        """Let the daemon end after the commit of so many batches, once."""

        def crash() -> None:
            if len(self.batches) >= batches:
                self.committed = lambda: None
                raise Crashed

        self.committed = crash


class Context(listening.Context):
    """The same without a supervisor: failures are the test's to see."""

    def __init__(self, ears: Ears, base: Path, instance: str) -> None:
        self.ears: Ears = ears
        self.instance = instance
        self.files = Files(base=str(base))
        self.detail = ""
        self.looks = 0

    def up(self, detail: str = "") -> None:
        self.detail = detail
        self.looks += 1
        self.ears.happened.set()

    async def keep(self, places: Mapping[str, Any], *, position: Any = None) -> None:
        self.ears.commits += 1
        await super().keep(places, position=position)


class Listening:
    """One source of a spec with its config, started as often as a test likes."""

    def __init__(self, spec: Spec, config: dict[str, Any], base: Path) -> None:
        self.spec = spec
        self.config = config
        self.ears = Ears()
        self.context = Context(self.ears, base, f"{spec.word}:0123456789abcdef")
        self.task: asyncio.Task[None] | None = None

    def start(self) -> "asyncio.Task[None]":
        """Let it run in a task."""
        assert self.spec.run is not None
        self.context.looks = 0
        run = self.spec.run(decode(self.config, self.spec.config), self.ears, self.context)
        self.task = asyncio.create_task(run)
        self.task.add_done_callback(lambda _: self.ears.happened.set())
        return self.task

    async def stop(self) -> None:
        """Cancel it, as a daemon does that ends."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task], timeout=10)
            assert self.task.done()

    async def failure(self) -> BaseException:
        """What it fails with."""
        task = self.start()
        await self.ears.until(task.done, "a failure")
        found = task.exception()
        assert found is not None
        return found

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Ears]:
        """At work, from its first look on."""
        task = self.start()
        try:
            await self.ears.until(lambda: self.context.looks or task.done(), "the first look")
            yield self.ears
        finally:
            if task.done() and not task.cancelled():
                task.result()
            await self.stop()

    async def looked(self, times: int = 1) -> None:
        """Return after so many more complete looks."""
        goal = self.context.looks + times + 1
        await self.ears.until(lambda: self.context.looks >= goal, "a look")


class Shop:
    """A database with a table of orders, reached by whoever runs SQL."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dsn = "sqlite:shop.db"
        self.run(
            "create table orders (id integer primary key, state text, changed_at text)",
            "create table prices (sku text primary key, price real, note text)",
        )

    def run(self, *statements: str) -> None:
        """Run statements, each its own commit."""
        connection = sqlite3.connect(self.path)
        for each in statements:
            connection.execute(each)
        connection.commit()
        connection.close()

    def rows(self, query: str) -> list[Any]:
        """The rows of a query."""
        connection = sqlite3.connect(self.path)
        found = connection.execute(query).fetchall()
        connection.close()
        return found


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A SQLite file `shop.db` in the base folder."""
    return Shop(tmp_path / "shop.db")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for tests that leave it as it is."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Mariadb]:
    """One MariaDB for tests that leave it as it is."""
    with Mariadb() as server:
        yield server


class Place:
    """An empty database of one of the kinds, and a session to look into it."""

    def __init__(self, kind: str, dsn: str, base: Path) -> None:
        self.kind = kind
        self.dsn = dsn
        self.base = base

    def typed(self, text: str) -> str:
        """SQL with the words of this kind for types: INSTANT, BYTES, JSON, EXACT, FLOAT, KEY."""
        for word, type_ in _TYPES[self.kind].items():
            text = text.replace(word, type_)
        return text

    async def run(self, *statements: str) -> None:
        """Run statements, each its own commit."""
        async with self.session() as session:
            for each in statements:
                await session.execute(self.typed(each))

    async def rows(self, query: str) -> list[Any]:
        """The rows of a query as tuples."""
        async with self.session() as session:
            found = await session.query(query, max_rows=100_000)
        return [tuple(row.values()) for row in found]

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A session of its own."""
        found = await database(self.dsn, str(self.base)).connect()
        try:
            yield found
        finally:
            await found.close()


_TYPES: dict[str, dict[str, str]] = {
    "postgres": {
        "INSTANT": "timestamptz", "BYTES": "bytea", "JSON": "jsonb", "EXACT": "numeric",
        "FLOAT": "double precision", "KEY": "bigserial primary key",
    },
    "mysql": {
        "INSTANT": "timestamp(6) null", "BYTES": "longblob", "JSON": "json",
        "EXACT": "decimal(40, 10)", "FLOAT": "double", "KEY": "bigint auto_increment primary key",
    },
    "sqlite": {
        "INSTANT": "text", "BYTES": "blob", "JSON": "text", "EXACT": "numeric",
        "FLOAT": "real", "KEY": "integer primary key",
    },
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty database of each kind."""
    name = f"p{abs(hash(request.node.nodeid)) % 10**9}"
    if request.param == "sqlite":
        sqlite3.connect(tmp_path / "shop.db").close()
        return Place("sqlite", "sqlite:shop.db", tmp_path)
    server = request.getfixturevalue("postgres" if request.param == "postgres" else "mariadb")
    await Place(request.param, server.dsn, tmp_path).run(f"create database {name}")
    return Place(request.param, server.dsn_at(server.port, database=name), tmp_path)


@pytest.fixture
async def listen(tmp_path: Path) -> AsyncIterator[Callable[..., Listening]]:
    """Makes sources, which end with the test."""
    async with AsyncExitStack() as stack:

        def make(spec: Spec, **config: Any) -> Listening:
            listening = Listening(spec, config, tmp_path)
            stack.push_async_callback(listening.stop)
            return listening

        yield make
