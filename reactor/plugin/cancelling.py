"""Heeds a cancellation that a library has swallowed."""

import asyncio


def heed_cancellation() -> None:
    """Raise if this task was asked to end; loops over a library's calls ask once a round.

    Python 3.11's `asyncio.wait_for` forgets a cancellation that comes in the same moment as the
    answer (github.com/python/cpython/issues/86296), and client libraries are full of it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
