"""`reactor tail`: live happenings, filters, coming back."""

import json
import threading

from reactor.clock import instant
from reactor.web.admin.wire import Happening
from tests.cli.conftest import run
from tests.web.admin.daemon import NOON, evt, exe, serving

BEGAN = Happening(
    time=instant(NOON), kind="execution", flow="hello", event=evt(), execution=exe(),
    state="running",
)  # fmt: skip
ENDED = Happening(time=instant(NOON), kind="execution", flow="hello", execution=exe(), state="ok")
OTHER = Happening(time=instant(NOON), kind="execution", flow="other", state="ok")


def test_what_happens_is_printed(ask, served):
    """One line for each happening, until the limit."""
    served.tell(BEGAN, ENDED)

    ran = ask("tail", "--limit", "2")

    assert ran.lines == [
        f"2026-01-01T12:00:00Z  execution  running  hello  {exe()}  {evt()}",
        f"2026-01-01T12:00:00Z  execution  ok  hello  {exe()}",
    ]


def test_happenings_for_programs(ask, served):
    """--json prints each as one object."""
    served.tell(ENDED)

    ran = ask("tail", "--limit", "1", "--json")

    assert json.loads(ran.out) == {
        "time": "2026-01-01T12:00:00Z",
        "kind": "execution",
        "flow": "hello",
        "event": None,
        "execution": exe(),
        "step": None,
        "source": None,
        "state": "ok",
        "detail": None,
    }


def test_one_flow_is_heard_alone(ask, served):
    """--flow leaves the others out."""
    served.tell(BEGAN, OTHER, ENDED)

    ran = ask("tail", "--flow", "other", "--limit", "1")

    assert ran.lines == ["2026-01-01T12:00:00Z  execution  ok  other"]


def test_tail_comes_back_after_a_restart(tmp_path):
    """A daemon that restarts is asked again, and a gap says that something may be missing."""
    found = []
    watching = threading.Thread(
        target=lambda: found.append(run("tail", "--limit", "3", "--json", "--state", str(tmp_path)))
    )
    with serving(tmp_path) as served:
        served.tell(BEGAN)
        watching.start()
        heard_first = served.control.heard.wait(10)
    with serving(tmp_path) as served:
        served.tell(ENDED)
        watching.join(30)

    assert heard_first
    lines = [json.loads(line) for line in found[0].lines]
    assert [line["kind"] for line in lines] == ["execution", "gap", "execution"]
    assert lines[2]["state"] == "ok"


def test_without_a_daemon_tail_is_exit_6(tmp_path):
    """Tail waits for a daemon that restarts, not for one that never ran."""
    ran = run("tail", "--state", str(tmp_path))

    assert ran.code == 6
