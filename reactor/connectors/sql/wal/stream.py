"""A replication connection: bytes of the log from a slot, and word back of what is stored."""

import asyncio
import select
from collections.abc import Callable, Sequence
from struct import Struct as Form
from typing import Any

from reactor.clock import Clock
from reactor.connectors.sql.postgresql import open_connection, translated
from reactor.connectors.sql.wal.messages import EPOCH_SECS
from reactor.errors import DatabaseFailed

# A server that is asked for a word answers at once; after so many unanswered it is gone.
_UNANSWERED = 3
_DATA = Form(">cqqq")
_KEEPALIVE = Form(">cqqB")
_STATUS = Form(">cqqqqB")


class Keepalive:
    """The server's word that it has sent all up to a place of the log."""

    __slots__ = ("asks", "lsn")

    def __init__(self, lsn: int, *, asks: bool) -> None:
        self.lsn = lsn
        self.asks = asks


class Stream:
    """One slot's stream, once `start` was called; before that, replication commands."""

    def __init__(self, connection: Any, clock: Clock) -> None:
        self._connection = connection
        self._pg = connection.pgconn
        self._clock = clock
        self._arrived = select.poll()
        self._arrived.register(self._pg.socket, select.POLLIN)
        self._confirmed = 0
        self._silence_secs: float | None = None
        self._telling = asyncio.Lock()

    @classmethod
    async def open(cls, dsn: str, clock: Clock) -> "Stream":
        """Connect."""
        try:
            return cls(await open_connection(dsn, replication="database"), clock)
        except DatabaseFailed as error:
            if "walsender" not in str(error):
                raise
            raise DatabaseFailed(
                f"{error}: a superuser lets it with ALTER ROLE … REPLICATION", code=error.code
            ) from error

    async def command(self, text: str) -> list[str]:
        """Run a replication command; the values of its first row."""
        from psycopg import generators
        from psycopg.errors import error_from_result
        from psycopg.pq import ExecStatus

        with translated():
            self._pg.send_query(text.encode())
            found = (await self._connection.wait(generators.execute(self._pg)))[-1]
            if found.status == ExecStatus.FATAL_ERROR:
                raise error_from_result(found)
        if found.status != ExecStatus.TUPLES_OK or found.ntuples == 0:
            return []
        values = [found.get_value(0, column) for column in range(found.nfields)]
        return ["" if value is None else bytes(value).decode() for value in values]

    async def start(self, slot: str, publication: str, beat_ms: int) -> None:
        """Begin to stream from where the slot stands; `beat_ms` is how often we will ask."""
        self._silence_secs = beat_ms / 1000 * _UNANSWERED
        names = publication.replace("'", "''").replace('"', '""')
        await self.command(
            f'START_REPLICATION SLOT "{slot}" LOGICAL 0/0 '
            f"(proto_version '1', publication_names '\"{names}\"')"
        )

    def take(self) -> bytes | Keepalive | None:
        """The next message that has come in; None if there is none yet."""
        try:
            size, data = self._pg.get_copy_data(1)
        except Exception:
            with translated():
                raise
        if size == 0:
            return None
        if size < 0:
            raise DatabaseFailed(self._farewell(), transient=True)
        if data[0] == 119:  # w: a message of pgoutput, behind a head of which we need nothing
            return bytes(data[_DATA.size :])
        _, lsn, _, asks = _KEEPALIVE.unpack(data)
        return Keepalive(lsn, asks=bool(asks))

    def refill(self) -> bool:
        """Read what has arrived, without waiting; whether there was anything."""
        if not self._arrived.poll(0):
            return False
        with translated():
            self._pg.consume_input()
        return True

    async def more(self) -> None:
        """Wait until more has come in, and read it."""
        try:
            async with asyncio.timeout(self._silence_secs):
                await self._ready(writing=False)
        except TimeoutError as error:
            message = f"the server has been silent for {self._silence_secs:g} s"
            raise DatabaseFailed(message, transient=True) from error
        with translated():
            self._pg.consume_input()

    async def confirm(self, lsn: int, *, asking: bool = False) -> None:
        """Tell the server that all up to here is stored; `asking` wants a word back."""
        self._confirmed = max(self._confirmed, lsn)
        here = self._confirmed
        micros = (self._clock.now_ms() - EPOCH_SECS * 1000) * 1000
        async with self._telling:
            with translated():
                self._pg.put_copy_data(_STATUS.pack(b"r", here, here, here, micros, asking))
                while self._pg.flush():
                    await self._ready(writing=True)

    async def close(self) -> None:
        """Hang up."""
        self._pg.finish()
        await self._connection.close()

    async def _ready(self, *, writing: bool) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        handle = self._pg.socket
        add, remove = (
            (loop.add_writer, loop.remove_writer)
            if writing
            else (loop.add_reader, loop.remove_reader)
        )
        add(handle, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            # Not left there: while nobody reads, each turn of the loop would find it ready.
            remove(handle)

    def _farewell(self) -> str:
        said = self._pg.get_result()
        text = said.error_message if said is not None else self._pg.error_message
        return " ".join(bytes(text or b"").decode(errors="replace").split()) or "it hung up"


async def until_first_ends(
    work: Sequence["asyncio.Task[None]"], hang_up: Callable[[], None] = lambda: None
) -> None:
    """Wait until one of these ends, hang up, cancel the others, and raise what ended it.

    To hang up first spares them the seconds in which psycopg asks a dead server to cancel.
    """
    try:
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hang_up()
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    for task in done:
        task.result()
