"""Programs are run and ended alike on both event loops."""

import asyncio
import os
from pathlib import Path

import pytest
import uvloop

from reactor.plugin.process import clean_environment, run_program


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request):
    """An event loop as tests have it, and as the daemon has it."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner


async def run(*args, stdin=b"", max_output=1 << 20):
    return await run_program(
        args, cwd="/", env=clean_environment({}), stdin=stdin, max_output=max_output
    )


def test_a_program_is_fed_and_heard(runner):
    """All of stdin goes in, and all that is kept comes out."""
    fed = os.urandom(300_000)

    ended = runner.run(run("cat", stdin=fed))

    assert (ended.exit, ended.stdout, ended.truncated) == (0, fed, False)


def test_a_missing_program_is_an_os_error(runner):
    """What cannot start raises."""
    with pytest.raises(FileNotFoundError):
        runner.run(run("no-such-program"))


def test_a_signal_is_an_exit_code(runner):
    """A program that a signal ended has 128 + its number."""
    ended = runner.run(run("sh", "-c", "kill -TERM $$"))

    assert ended.exit == 143


def test_a_program_need_not_read(runner):
    """A program may end before it has read, or was given, what it is fed."""
    for _ in range(20):
        ended = runner.run(run("true", stdin=bytes(300_000)))

        assert ended.exit == 0


def test_cancelling_ends_what_ignores_it(runner, tmp_path):
    """A program that ignores SIGTERM is killed, with its children."""
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    script = f"trap '' TERM; sleep 600 & echo $! > {ready}; while :; do wait; done"

    async def cancelled() -> tuple[bool, bool]:
        running = asyncio.create_task(run("bash", "-c", script))
        child = (await asyncio.to_thread(ready.read_text)).strip()
        running.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait([running])
        return running.cancelled(), await gone(child)

    assert runner.run(cancelled()) == (True, True)


async def gone(pid: str) -> bool:
    """Whether a process ends within a second; a zombie whose parent is slow has ended."""
    for _ in range(100):
        if not lives(pid):
            return True
        await asyncio.sleep(0.01)
    return False


def lives(pid: str) -> bool:
    """Whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
