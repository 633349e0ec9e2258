"""What a daemon could do wrong, to see that the programmes notice it."""

import asyncio
from collections.abc import Callable, Mapping

from reactor.store import Write
from reactor.store.sqlite import SqliteStore

Fault = Callable[[SqliteStore], None]


def acknowledge_early(store: SqliteStore) -> None:
    """Whoever waits for a commit is told before it."""
    submit, loop = store.submit, asyncio.get_running_loop()

    def early(write: Write, done: Callable[[], None] | None = None) -> None:
        submit(write)
        if done is not None:
            loop.call_soon(done)

    store.submit = early  # type: ignore[method-assign]


def forgetting(*fields: str) -> Fault:
    """These rows are not stored."""

    def spoil(store: SqliteStore) -> None:
        submit = store.submit

        def forget(write: Write, done: Callable[[], None] | None = None) -> None:
            for field in fields:
                setattr(write, field, [])
            submit(write, done)

        store.submit = forget  # type: ignore[method-assign]

    return spoil


FAULTS: Mapping[str, Fault] = {
    "acknowledges early": acknowledge_early,
    "forgets identities": forgetting("identities"),
    "forgets results": forgetting("records"),
    "forgets gates": forgetting("gates", "held"),
}
