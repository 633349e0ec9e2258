"""Every store that the contract holds for."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reactor.store.sqlite import SqliteStore, open_memory, open_sqlite
from tests.store.made import HandClock, refuse


@pytest.fixture
def clock():
    """A clock that stands still."""
    return HandClock()


@pytest.fixture(params=["memory", "inline", "threaded"])
async def store(request, tmp_path: Path, clock: HandClock) -> AsyncIterator[SqliteStore]:
    """An empty store of each form; a store over another database is one more form."""
    if request.param == "memory":
        opened = await open_memory(on_failure=refuse, clock=clock, unwanted_rows=3)
    else:
        opened = await open_sqlite(
            tmp_path / "state",
            on_failure=refuse,
            clock=clock,
            unwanted_rows=3,
            threads=request.param == "threaded",
        )
    yield opened
    await opened.close(clean=True)
