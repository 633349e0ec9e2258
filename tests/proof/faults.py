"""What a daemon could do wrong, to see that the rules of the simulation notice it."""

import asyncio
from collections.abc import Callable

from reactor.store import Write
from reactor.store.sqlite import SqliteStore
from tests.proof.simulation import Fault


def acknowledge_early(store: SqliteStore) -> None:
    """A fault: whoever waits for a commit is told before it."""
    submit, loop = store.submit, asyncio.get_running_loop()

    def early(write: Write, done: Callable[[], None] | None = None) -> None:
        submit(write)
        if done is not None:
            loop.call_soon(done)

    store.submit = early  # type: ignore[method-assign]


def forget_identities(store: SqliteStore) -> None:
    """A fault: nothing is recognised when it comes again."""
    submit = store.submit

    def forget(write: Write, done: Callable[[], None] | None = None) -> None:
        write.identities = []
        submit(write, done)

    store.submit = forget  # type: ignore[method-assign]


def forget_results(store: SqliteStore) -> None:
    """A fault: what a step came to is not stored before the next one begins."""
    submit = store.submit

    def forget(write: Write, done: Callable[[], None] | None = None) -> None:
        write.records = []
        submit(write, done)

    store.submit = forget  # type: ignore[method-assign]


def forget_gates(store: SqliteStore) -> None:
    """A fault: what gates hold and wait for is not stored."""
    submit = store.submit

    def forget(write: Write, done: Callable[[], None] | None = None) -> None:
        write.gates, write.held = [], []
        submit(write, done)

    store.submit = forget  # type: ignore[method-assign]


FAULTS: tuple[Fault, ...] = (acknowledge_early, forget_identities, forget_results, forget_gates)
