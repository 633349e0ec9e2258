"""What each verb prints into a pipe, for people and for programs."""

import json

import pytest

from reactor.web.admin.wire import ProblemView
from tests.web.admin.daemon import EVENT, FAILED, MADE, ded, evt, exe

FLOW = {
    "flow": "hello",
    "file": "hello.yaml",
    "version": "v1",
    "enabled": True,
    "state": "on",
    "triggers": [{"id": "http", "source": "http", "errors": 3}],
    "executions": {"running": 1, "waiting": 2},
}
ERROR = {
    "step": "notify",
    "kind": "http",
    "message": "503 from slack.test",
    "status": 503,
    "attempts": 2,
    "output": None,
    "item": None,
}
RUN = {
    "execution": exe(FAILED),
    "flow": "hello",
    "event": evt(),
    "state": "failed",
    "reason": None,
    "created": "2026-01-01T12:00:00Z",
    "started": "2026-01-01T12:00:00.005000Z",
    "finished": "2026-01-01T12:00:00.900000Z",
    "retry_of": exe(),
    "error": ERROR,
}
STEP = {
    "id": "notify",
    "status": "failed",
    "attempts": 2,
    "started": "2026-01-01T12:00:00.005000Z",
    "finished": "2026-01-01T12:00:00.255000Z",
    "input": None,
    "output": None,
    "error": ERROR,
}
RECEIPT = {
    "event": evt(),
    "executions": [{"flow": "hello", "execution": exe()}],
    "held": [],
    "duplicate": False,
}
DEAD = {
    "id": ded(),
    "kind": "failed",
    "flow": "hello",
    "event": evt(),
    "reason": "503 from slack.test",
    "created": "2026-01-01T12:00:00.900000Z",
}
SOURCE = {
    "id": "kafka:9f2c",
    "source": "kafka",
    "state": "retrying",
    "detail": "no broker answers",
    "flows": ["hello", "odd"],
    "position": {"0": 41},
}

JSON = [
    (["flows"], [FLOW, {"flow": "oops", "file": "oops.yaml", "version": None, "enabled": True,
                        "state": "broken", "triggers": [], "executions": {}}]),
    (["runs", "--state", "failed"], [RUN]),
    (["runs", "--state", "ok", "--state", "failed", "--limit", "1"], [RUN]),
    (["show", exe(FAILED)], [{**RUN, "steps": [STEP]}]),
    (["why", evt()], [{
        "event": evt(),
        "received": "2026-01-01T12:00:00Z",
        "decisions": [
            {"flow": "hello", "trigger": "http", "decision": "started", "reason": None,
             "detail": None, "execution": exe()},
            {"flow": "big-orders", "trigger": "http", "decision": "stopped",
             "reason": "only_if: event.body.total > 9", "execution": None,
             "detail": [{"text": "event.body.total", "value": 7},
                        {"text": "event.body.total > 9", "value": False}]},
            {"flow": "odd", "trigger": "http", "decision": "error", "reason": None,
             "detail": "text < number", "execution": None},
        ],
    }]),
    (["start", "hello"], [RECEIPT]),
    (["emit", "order.paid"], [{**RECEIPT, "held": ["held-flow"]}]),
    (["pause", "hello"], [{**FLOW, "state": "paused"}]),
    (["resume", "hello"], [FLOW]),
    (["sources"], [{"id": "http:1", "source": "http", "state": "up", "detail": "",
                    "flows": ["hello"], "position": None}, SOURCE]),
    (["sources", "reset", "kafka:9f2c", "--to", "latest"], [SOURCE]),
    (["retry", exe(FAILED)], [{"execution": exe(MADE), "retry_of": exe(FAILED)}]),
    (["cancel", exe(FAILED)], [{"execution": exe(FAILED), "cancelled": True}]),
    (["dead", "ls"], [DEAD]),
    (["dead", "show", ded()], [{**DEAD, "execution": exe(FAILED),
                                "data": {"name": "Ada", "total": 7}}]),
    (["dead", "retry", ded()], [{**RECEIPT, "executions": [
        {"flow": "hello", "execution": exe(MADE)}]}]),
    (["dead", "drop", ded()], [{"id": ded(), "dropped": True}]),
    (["state", "ls", "battery"], [{"name": "battery", "key": "sensor-7", "value": 80,
                                   "until": None}]),
    (["state", "get", "battery", "sensor-7"], [{"name": "battery", "key": "sensor-7",
                                                "value": 80, "until": None}]),
    (["state", "set", "a", "[1]"], [{"name": "a", "key": "", "value": [1], "until": None}]),
    (["state", "rm", "last_seen"], [{"name": "last_seen", "key": "", "value": None,
                                     "until": None}]),
    (["reload"], [{"flows": 2, "problems": []}]),
    (["doctor"], [{"check": "disk", "state": "ok", "detail": "12GiB free"}]),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "objects"), JSON, ids=str)
def test_json_is_one_object_a_line(ask, arguments, objects):
    """With --json a verb prints exactly its objects, in their order, with these fields."""
    ran = ask(*arguments, "--json")

    assert [list(json.loads(line)) for line in ran.lines] == [list(each) for each in objects]
    assert [json.loads(line) for line in ran.lines] == objects
    assert (ran.code, ran.err) == (0, "")


PLAIN = [
    (["flows"], ["hello\ton\thttp(3 errors)\t1 running 2 waiting\thello.yaml",
                 "oops\tbroken\t\t0\toops.yaml"]),
    (["runs", "--state", "failed"],
     [f"{exe(FAILED)}\thello\tfailed\t2026-01-01T12:00:00Z\t{evt()}\t503 from slack.test"]),
    (["start", "hello"], [f"{exe()}  hello"]),
    (["emit", "nobody"], ["no flow wanted it"]),
    (["emit", "order.paid", "--id", "7"],
     [f"{evt()} came before: nothing new was started", f"{exe()}  hello",
      f"{evt()}  held by held-flow"]),
    (["pause", "hello"], ["hello is paused"]),
    (["resume", "hello"], ["hello is on"]),
    (["sources"], ["http:1\tup\thello\t\t",
                   'kafka:9f2c\tretrying\thello odd\t{"0": 41}\tno broker answers']),
    (["sources", "reset", "kafka:9f2c", "--to", "latest"], ["kafka:9f2c goes on from latest"]),
    (["retry", exe(FAILED)], [f"{exe(MADE)}  retries {exe(FAILED)}"]),
    (["cancel", exe(FAILED)], [f"{exe(FAILED)} is being cancelled"]),
    (["approve"], [f"{exe()}\thello\task\t2026-01-01T00:00:00Z\t\tnote=\tGo on?"]),
    (["approve", exe(FAILED), "--set", "note=fine", "--by", "ann"],
     [f"{exe(FAILED)} ask approved by ann"]),
    (["deny", exe(FAILED), "ask", "--message", "no", "--by", "bob"],
     [f"{exe(FAILED)} ask denied by bob"]),
    (["dead", "ls"],
     [f"{ded()}\tfailed\thello\t2026-01-01T12:00:00.900000Z\t{evt()}\t503 from slack.test"]),
    (["dead", "retry", ded()], [f"{exe(MADE)}  hello"]),
    (["dead", "drop", ded()], [f"{ded()} dropped"]),
    (["state", "ls"], ["battery\tsensor-7\t\t80", "last_seen\t\t2026-01-01T12:00:00Z\ttoday"]),
    (["state", "get", "battery", "sensor-7"], ["80"]),
    (["state", "set", "battery", "81", "--key", "sensor-7"], ["battery[sensor-7] set"]),
    (["state", "rm", "last_seen"], ["last_seen deleted"]),
    (["reload"], ["2 flows serve"]),
    (["doctor"], ["disk\tok\t12GiB free"]),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "lines"), PLAIN, ids=str)
def test_a_pipe_gets_plain_lines(ask, arguments, lines):
    """Without --json a pipe gets one line a thing: no heading, no colours, tabs between fields."""
    ran = ask(*arguments)

    assert ran.lines == lines
    assert (ran.code, ran.err) == (0, "")


def test_backup_writes_where_it_was_called(ask, tmp_path):
    """A relative name is meant where the command runs, not where the daemon does."""
    ran = ask("backup", str(tmp_path / "copy.db"), "--json")

    assert json.loads(ran.out) == {"path": str(tmp_path / "copy.db"), "bytes": 1536}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["start", "nope"], 4, "no flow is called 'nope'"),
        (["start", "oops"], 3, "flow 'oops' does not load"),
        (["start", "hello", "--trigger", "nope"], 2, "has no trigger 'nope'"),
        (["start", "hello", "--input", "x"], 2, "--input x: write --input NAME=VALUE"),
        (["start", "hello", "--data", "{"], 2, "--data: '{' is no JSON"),
        (["start", "hello", "--data", "NaN"], 2, "NaN is no JSON"),
        (["emit", "full"], 1, "the disk is full"),
        (["emit", "boom"], 1, "nobody expected"),
        (["show", "exe_1"], 2, "'exe_1' is no id of this kind"),
        (["show", exe(5)], 4, f"no execution {exe(5)} is kept"),
        (["why", evt(5)], 4, "no event is kept"),
        (["cancel", exe()], 2, "has ended: ok"),
        (["retry"], 2, "name executions, or choose them with --where"),
        (["retry", exe(), "--where", "true"], 2, "name executions, or choose them with --where"),
        (["retry", exe(), "--since", "1h"], 2, "--since goes with --where"),
        (["retry", "--where", "colour"], 3, "colour"),
        (["runs", "--state", "fine"], 2, "'fine' is no state"),
        (["runs", "--since", "5"], 2, "write 5s"),
        (["dead", "show", ded(5)], 4, "no dead letter"),
        (["state", "get", "nope"], 4, "state.nope is not set"),
        (["state", "set", "a", "text"], 2, "a text needs quotes"),
        (["sources", "reset", "nope", "--to", "latest"], 4, "no source is called 'nope'"),
        (["backup", "/"], 2, "/ exists"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line_and_a_code(ask, arguments, code, words):
    """What goes wrong is said in one line on stderr; stdout stays empty."""
    ran = ask(*arguments)

    assert ran.code == code
    assert ran.out == ""
    assert words in ran.err
    assert "Traceback" not in ran.err


def test_inputs_are_values_or_texts(ask, served):
    """An input that is JSON keeps its type, anything else is a text."""
    ask("start", "hello", "--input", "n=5", "--input", "who=Ada Byron", "--input", "ok=true")

    assert served.control.asked == [
        ("start", "hello", None, None, {"n": 5, "who": "Ada Byron", "ok": True})
    ]


def test_emit_passes_everything_on(ask, served):
    """Data, key and identity reach the daemon."""
    ask("emit", "order.paid", "--data", '{"id": 7}', "--key", "a", "--id", "b")

    assert served.control.asked == [("emit", "order.paid", {"id": 7}, "a", "b")]


def test_retry_where_takes_what_failed(ask, served):
    """All executions that meet the condition are run again, each once."""
    ran = ask("retry", "--where", "error.status == 503", "--from", "failed", "--version", "current")

    assert served.control.asked == [("retry", FAILED, "failed", "current")]
    assert ran.lines == [f"{exe(MADE)}  retries {exe(FAILED)}"]


def test_retry_where_nothing_failed_says_so(ask):
    """A condition that nothing meets is no error."""
    ran = ask("retry", "--where", "error.status == 404")

    assert (ran.code, ran.lines) == (0, ["nothing failed that meets this"])


def test_a_reload_with_problems_is_exit_3(ask, served):
    """The problems are printed with their places, and scripts see the code."""
    served.control.problems = [
        ProblemView(file="a.yaml", line=3, column=5, severity="error", message="= is =="),
        ProblemView(file="a.yaml", line=4, column=1, severity="warning", message="quote it"),
    ]

    ran = ask("reload")

    assert ran.code == 3
    assert ran.lines == [
        "a.yaml:3:5: = is ==",
        "a.yaml:4:1: warning: quote it",
        "2 flows serve",
    ]
    assert "1 error: `reactor check`" in ran.err


def test_doctor_fails_where_a_check_fails(ask, served):
    """What doctor finds wrong is exit 1."""
    (check,) = served.control.checks
    served.control.checks = [type(check)(check="store", state="failed", detail="run a check")]

    ran = ask("doctor")

    assert (ran.code, ran.lines) == (1, ["store\tfailed\trun a check"])
    assert "failed: store" in ran.err


def test_all_pages_are_printed(ask):
    """A list into a pipe is everything that matches."""
    ran = ask("runs")

    assert [line.split("\t")[0] for line in ran.lines] == [
        exe(EVENT + 3), exe(EVENT + 2), exe(EVENT + 1)
    ]  # fmt: skip
