"""The `python` action with real worker processes."""

import asyncio
import os
from datetime import UTC, datetime

import pytest

from reactor.connectors.python import python
from reactor.connectors.python.pool import worker_command
from reactor.errors import ActionFailed
from reactor.plugin.context import Files


@pytest.fixture
def module(tmp_path):
    """Writes `billing.py` beside the flows."""

    def write(text: str, name: str = "billing.py") -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    return write


async def test_a_function_is_called(attempt, module):
    """Arguments go in by name, the result comes back, both as plain data."""
    module("def total(items, at, raw): return {'sum': sum(items), 'at': at, 'raw': raw}")
    at = datetime(2026, 1, 2, tzinfo=UTC)

    output = await attempt.do(
        python, {"call": "billing.total", "with": {"items": [1, 2], "at": at, "raw": b"\xff"}}
    )

    assert output == {"sum": 3, "at": at, "raw": b"\xff"}


async def test_a_function_may_be_async(attempt, module):
    """A coroutine is run to its end."""
    module("import asyncio\nasync def wait():\n    await asyncio.sleep(0)\n    return 'done'")

    assert await attempt.do(python, {"call": "billing.wait"}) == "done"


async def test_packages_and_siblings_are_found(attempt, module):
    """A module may lie in a folder and import what lies beside the flows."""
    module("RATE = 3", "rates.py")
    module("import rates\ndef total(n): return n * rates.RATE", "shop/billing.py")

    output = await attempt.do(python, {"call": "shop.billing.total", "with": {"n": 2}})

    assert output == 6


async def test_the_flows_folder_is_where_modules_are(attempt, module, tmp_path):
    """Modules lie beside the flows, wherever files start."""
    module("def f(): return 1", "flows/billing.py")
    attempt.files = Files(base="/", flows=str(tmp_path / "flows"))

    assert await attempt.do(python, {"call": "billing.f"}) == 1


async def test_a_worker_is_kept(attempt, module):
    """The next call finds the process of the last one."""
    module("import os\ndef pid(): return os.getpid()")

    first = await attempt.do(python, {"call": "billing.pid"})
    second = await attempt.do(python, {"call": "billing.pid"})

    assert first == second != os.getpid()


async def test_a_changed_module_is_read_again(attempt, module):
    """A new version of a file counts from the next call on, also through what imports it."""
    module("RATE = 3", "rates.py")
    module("import rates\ndef rate(): return rates.RATE")
    first = await attempt.do(python, {"call": "billing.rate"})

    module("RATE = 4000", "rates.py")
    second = await attempt.do(python, {"call": "billing.rate"})

    assert (first, second) == (3, 4000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(): return 1 / 0", r"ZeroDivisionError: division by zero \(billing.py:1 in f\)"),
        ("def f(x): pass", "missing 1 required positional argument: 'x'"),
        ("def f(): raise SystemExit(3)", "SystemExit: 3"),
        ("def f(): return object()", "Encoding objects of type object is unsupported"),
        ("def g(): pass", "module 'billing' has no function 'f'"),
        ("def f(:", "SyntaxError: invalid syntax"),
        ("import os\ndef f(): os._exit(7)", "the worker process ended with exit code 7"),
        ("import os\ndef f(): os.kill(os.getpid(), 9)", "the worker process ended with signal 9"),
    ],
)
async def test_a_failing_function_says_why(attempt, module, text, message):
    """The error is the traceback's last line; it may be retried, and the next call works."""
    module(text)
    module("def f(): return 'fine'", "other.py")

    with pytest.raises(ActionFailed, match=message) as raised:
        await attempt.do(python, {"call": "billing.f"})

    assert (raised.value.kind, raised.value.transient) == ("python", True)
    assert await attempt.do(python, {"call": "other.f"}) == "fine"


@pytest.mark.parametrize("call", ["os.getcwd", "nowhere.f", "json.dumps"])
async def test_only_modules_beside_the_flows_are_called(attempt, call):
    """The library's modules are not there for flows."""
    with pytest.raises(ActionFailed, match="no module"):
        await attempt.do(python, {"call": call})


async def test_printing_disturbs_nothing(attempt, module):
    """What a function prints, in Python or around it, is no answer."""
    module("import os\ndef f():\n    print('hi')\n    os.write(1, b'raw')\n    return 1")

    assert await attempt.do(python, {"call": "billing.f"}) == 1


async def test_a_child_has_a_clean_environment(attempt, module, monkeypatch):
    """The libraries of a frozen build do not reach what a function starts."""
    monkeypatch.setenv("_PYI_ARCHIVE_FILE", "/frozen")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/frozen")
    module("import os\ndef f(): return [n for n in os.environ if n[:5] in ('_PYI_', 'LD_LI')]")

    assert await attempt.do(python, {"call": "billing.f"}) == []


async def test_calls_run_side_by_side(attempt, module, tmp_path):
    """Two calls that wait for each other both end."""
    module(
        "import os\n"
        "def f(a, b):\n"
        "    for way in (a, b):\n"
        "        with open(way, 'w' if way == a else 'r') as file:\n"
        "            pass\n"
        "    return 1\n"
        "def g(a, b):\n"
        "    with open(a) as file: pass\n"
        "    with open(b, 'w') as file: pass\n"
        "    return 2\n"
    )
    ways = {"a": str(tmp_path / "a"), "b": str(tmp_path / "b")}
    for way in ways.values():
        os.mkfifo(way)

    outputs = await asyncio.gather(
        attempt.do(python, {"call": "billing.f", "with": ways}),
        attempt.do(python, {"call": "billing.g", "with": ways}),
    )

    assert list(outputs) == [1, 2]


async def test_a_cancelled_call_takes_its_worker(attempt, module, tmp_path):
    """Cancelling kills the process that is in the function; the next call has a new one."""
    module(
        "import os, time\n"
        "def hang(ready):\n"
        "    with open(ready, 'w') as file: file.write(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        "def pid(): return os.getpid()\n"
    )
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    calling = asyncio.create_task(
        attempt.do(python, {"call": "billing.hang", "with": {"ready": str(ready)}})
    )
    hung = int(await asyncio.to_thread(ready.read_text))

    calling.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([calling])

    assert calling.cancelled()
    with pytest.raises(ProcessLookupError):
        os.kill(hung, 0)
    assert await attempt.do(python, {"call": "billing.pid"}) != hung


def test_a_frozen_build_starts_itself():
    """A frozen `reactor` becomes a worker by a hidden word."""
    assert worker_command("/usr/bin/reactor", frozen=True) == ["/usr/bin/reactor", "__worker__"]


@pytest.mark.parametrize("call", ["total", "billing.", "billing/total", "a b.c"])
def test_mistakes_are_told_at_load(call):
    """What is no module and function is told at load."""
    assert python.check is not None
    assert [place for place, _ in python.check({"call": call})] == [("call",)]
