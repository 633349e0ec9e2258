"""What every database can do here: sessions that run statements and give plain rows."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Literal, Protocol

from reactor.errors import DatabaseFailed

Row = dict[str, Any]
Kind = Literal["postgres", "mysql", "sqlite"]


class Session(Protocol):
    """One connection, used by one at a time.

    Statements take `$1 $2 …`. Every method raises `DatabaseFailed`; whoever meets an error or is
    cancelled in between closes the session. Values come as plain data: texts, numbers, booleans,
    bytes, instants (of types with a zone), lists and maps (of arrays and JSON).
    """

    async def query(self, sql: str, params: Sequence[Any] = (), *, max_rows: int) -> list[Row]:
        """The rows of a statement; one more than `max_rows` is read to tell that there are more."""
        ...

    def pages(self, sql: str, params: Sequence[Any], size: int) -> AsyncGenerator[list[Row], None]:
        """The rows of a query in pages, as the reader asks for them; close it when done."""
        ...

    async def execute(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows it touched."""
        ...

    async def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row of params, in batches."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """What happens inside is committed as one, or not at all when an error leaves it."""
        ...

    def dropped(self) -> bool:
        """Whether the server has closed the connection while it was idle."""
        ...

    async def close(self) -> None:
        """End the connection; never raises."""
        ...


class Database(Protocol):
    """A database that can be connected to."""

    @property
    def kind(self) -> Kind:
        """Which SQL it speaks."""
        ...

    async def connect(self) -> Session:
        """A new session; raises `DatabaseFailed` within some seconds."""
        ...


@asynccontextmanager
async def one_commit(session: Session, *, begin: str) -> AsyncIterator[None]:
    """A transaction of a session that has no better way than to say so."""
    await session.execute(begin)
    try:
        yield
    except BaseException:
        with suppress(DatabaseFailed):
            await session.execute("rollback")
        raise
    await session.execute("commit")
