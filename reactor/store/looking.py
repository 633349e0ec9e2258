"""A state folder read beside the daemon that may work in it: nothing is written, nothing locked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Error as SqliteError

from reactor.errors import NotFound, StorageFailed
from reactor.store import Query, StateValue, Unwanted, Version, reads
from reactor.store.blobs import Blobs
from reactor.store.history import SqliteHistory, unwanted_events
from reactor.store.reader import Reader


class Look:
    """What is stored, as of now."""

    def __init__(self, reader: Reader, blobs: Blobs) -> None:
        self._reader = reader
        self.history = SqliteHistory(reader, blobs, lambda: 0)

    async def state_values(self, now_ms: int) -> list[StateValue]:
        """The values of `state` that have not run out."""
        return await self._reader.run(reads.state_values, now_ms)

    async def unwanted(self, query: Query) -> list[Unwanted]:
        """Events that no flow wanted, newest first, as far as they are kept."""
        return await self._reader.run(unwanted_events, query)

    async def versions(self, hashes: Sequence[str]) -> list[Version]:
        """Flow versions by their hash."""
        return await self._reader.run(reads.versions, hashes)


@contextmanager
def look(state: Path) -> Iterator[Look]:
    """The store of a state folder. Raises NotFound where there is none."""
    database = state / "reactor.db"
    if not database.is_file():
        raise NotFound(f"nothing is stored in {state}: name the state folder with --state")
    blobs = state / "blobs"
    try:
        reader = Reader.of_file(database, "look")
    except SqliteError as error:
        raise StorageFailed(f"the store in {state} cannot be read: {error}") from error
    try:
        yield Look(reader, Blobs(blobs if blobs.is_dir() else None))
    finally:
        reader.close()
