"""What is told of commits."""

from reactor.clock import SystemClock
from reactor.store import Write
from reactor.store.sqlite import open_memory
from tests.store.made import an_id, started, stored


async def test_the_size_of_each_commit_is_told():
    """Writes that waited together are one commit; an empty one tells nothing."""
    store = await open_memory(on_failure=print, clock=SystemClock())
    sizes: list[float] = []
    store.observe(sizes.append)

    store.submit(started(an_id(1)))
    store.submit(started(an_id(2)))
    await stored(store, Write())

    await store.close(clean=True)
    assert sizes[0] == 3
