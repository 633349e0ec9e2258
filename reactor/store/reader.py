"""A reading connection in a thread of its own, or the writing one where there is no thread."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from sqlite3 import Connection
from typing import Concatenate, ParamSpec, TypeVar

from reactor.errors import StorageFailed
from reactor.store.boot import connect_to_read
from reactor.store.disk import unreadable

P = ParamSpec("P")
T = TypeVar("T")
_TRIES = 3


class Reader:
    """Calls functions with a connection, each in a transaction that sees one moment."""

    def __init__(self, connection: Connection, *, thread: str | None, owned: bool) -> None:
        self._connection = connection
        self._owned = owned
        self._thread = None if thread is None else ThreadPoolExecutor(1, thread_name_prefix=thread)

    @classmethod
    def of_file(cls, database: Path, thread: str) -> "Reader":
        """A reader with a connection that cannot write, in a named thread."""
        return cls(connect_to_read(database), thread=thread, owned=True)

    async def run(
        self,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The function's result. Raises StorageFailed when the database cannot be read."""
        if self._thread is None:
            return self._read(lambda connection: function(connection, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._read, lambda connection: function(connection, *args, **kwargs)
        )

    def close(self) -> None:
        """End the thread after what it is doing, and the connection if it is ours."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
        if self._owned:
            self._connection.close()

    def _read(self, function: Callable[[Connection], T]) -> T:
        missing = ""
        for _ in range(_TRIES):
            try:
                self._connection.execute("BEGIN")
                try:
                    return function(self._connection)
                finally:
                    self._connection.execute("ROLLBACK")
            except FileNotFoundError as error:
                # Its row was deleted after this transaction began: look again.
                missing = str(error.filename)
            except sqlite3.Error as error:
                raise unreadable(error) from error
        raise StorageFailed(
            f"the store names the file '{missing}', which is not there: restore it from a backup"
        )
