"""The API over a real socket, from its route table."""

import json
import os
import socket
import stat
from http.client import HTTPConnection

import pytest

from reactor.web.admin.address import short_path
from reactor.web.admin.endpoints import ALL, PREFIX, QUESTIONS
from tests.web.admin.daemon import DEAD, EVENT, EXECUTION, FAILED, ded, evt, exe, serving

NAMES = {
    "{flow}": "hello",
    "{event}": evt(),
    "{execution}": exe(FAILED),
    "{id}": ded(),
    "{source}": "kafka:9f2c",
    "{name}": "battery",
    "{key}": "sensor-7",
}
BODIES = {
    "post_events": {"type": "order.paid"},
    "post_events_event_replay": {"flow": "hello"},
    "post_sources_source_reset": {"to": "latest"},
    "put_state_name": {"value": 1},
    "put_state_name_key": {"value": 1},
    "post_backup": {"path": "/nowhere/copy.db"},
}
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("state")) as served:
        yield served


def ask(state, method, path, body=None, headers=None):
    """Status, headers and decoded body of one request."""
    channel = socket.socket(socket.AF_UNIX)
    with short_path(state / "api.sock") as name:
        channel.connect(name)
    connection = HTTPConnection("reactor")
    connection.sock = channel
    raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, PREFIX + path, raw, headers or {})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    is_json = "json" in response.headers["Content-Type"]
    return response.status, response.headers, json.loads(content) if is_json else content.decode()


def filled(path):
    """A path with the names of things that exist."""
    for name, value in NAMES.items():
        path = path.replace(name, value)
    return path


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_every_question_is_answered(served, question):
    """What the table lists answers 200 when it is asked about what exists."""
    if question.name == "delete_state_name":
        served.control.values["battery", ""] = served.control.values["battery", "sensor-7"]
    path = filled(question.path)
    if question.name in ("get_state_name", "delete_state_name"):
        path = "/state/last_seen"

    status, _, _ = ask(served.state, question.method, path, BODIES.get(question.name))

    assert status == 200


@pytest.mark.parametrize("path", sorted({each.path for each in ALL}))
def test_other_methods_are_refused(served, path):
    """A method that a path does not take is 405, and Allow names those that it takes."""
    taken = {each.method for each in ALL if each.path == path}
    for method in METHODS:
        if method in taken:
            continue

        status, headers, problem = ask(served.state, method, filled(path))

        assert status == 405
        assert taken <= set(headers["Allow"].split(", "))
        assert problem["exit_code"] == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/flows/nope"),
        ("POST", "/flows/nope/pause"),
        ("POST", "/flows/nope/start"),
        ("GET", f"/events/{evt(5)}"),
        ("GET", f"/events/{evt(5)}/decisions"),
        ("GET", f"/executions/{exe(5)}"),
        ("POST", f"/executions/{exe(5)}/retry"),
        ("POST", f"/executions/{exe(5)}/cancel"),
        ("GET", f"/dead/{ded(5)}"),
        ("POST", f"/dead/{ded(5)}/drop"),
        ("GET", "/state/nope/key"),
        ("DELETE", "/state/nope"),
        ("GET", "/nope"),
    ],
)
def test_what_does_not_exist_is_404(served, method, path):
    """An unknown name is a problem with exit code 4 that names it and says where to look."""
    status, headers, problem = ask(served.state, method, path)

    assert status == 404
    assert headers["Content-Type"] == "application/problem+json"
    assert problem["status"] == 404
    assert problem["exit_code"] == 4
    assert problem["detail"]


@pytest.mark.parametrize(
    "question",
    [question for question in QUESTIONS if question.body is not None],
    ids=lambda question: question.name,
)
@pytest.mark.parametrize("body", [b"{", b'{"nope": 1}', b"[]", b"\xff", b"[" * 100_000])
def test_a_bad_body_is_a_problem(served, question, body):
    """What is no JSON, or not the JSON that is asked for, is 400 and changes nothing."""
    before = list(served.control.asked)

    status, _, problem = ask(served.state, question.method, filled(question.path), body)

    assert status == 400
    assert problem["exit_code"] == 2
    assert served.control.asked == before


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/executions?state=fine", "'fine' is no state of an execution; they are queued"),
        ("/executions?since=yesterday", "since yesterday: 'yesterday' is no duration"),
        ("/executions?before=abc", "'abc' is no cursor"),
        ("/executions?limit=0", "query: "),
        ("/executions?limit=5000", "query: "),
        ("/executions?colour=red", "query: "),
        ("/executions?flow=a&flow=b", "a parameter may stand in a query once"),
        ("/executions/evt_1", "'evt_1' is no id of this kind"),
        ("/flows?x=1", "takes no parameter 'x'"),
    ],
)
def test_a_bad_query_is_a_problem(served, path, detail):
    """A filter that makes no sense is 400 and says what would."""
    status, _, problem = ask(served.state, "GET", path)

    assert status == 400
    assert detail in problem["detail"]


def test_a_list_goes_on_at_its_cursor(served):
    """Pages follow each other without gaps, newest first, and end."""
    _, _, first = ask(served.state, "GET", "/executions?limit=2")
    _, _, second = ask(served.state, "GET", f"/executions?limit=2&before={first['next']}")

    found = [item["execution"] for item in first["items"] + second["items"]]
    assert found == [exe(EVENT + 3), exe(EVENT + 2), exe(EVENT + 1)]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=failed,ok", [exe(FAILED), exe(EXECUTION)]),
        ("flow=invoice", [exe(EVENT + 3)]),
        (f"event={evt(5)}", []),
        ("since=1h", [exe(EVENT + 3), exe(FAILED), exe(EXECUTION)]),
        ("since=2026-01-02T00:00:00Z", []),
        ("where=error.status==503", [exe(FAILED)]),
        ("where=execution.state==%22ok%22", [exe(EXECUTION)]),
        ("where=event.data.total>9", []),
    ],
)
def test_filters_choose_executions(served, query, found):
    """Each filter of `runs` leaves what it says."""
    _, _, page = ask(served.state, "GET", f"/executions?{query}")

    assert [item["execution"] for item in page["items"]] == found


def test_an_unknown_name_in_where_is_explained(served):
    """A condition that does not load is 422 with exit code 3."""
    status, _, problem = ask(served.state, "GET", "/executions?where=execution.colour")

    assert status == 422
    assert problem["exit_code"] == 3
    assert "colour" in problem["detail"]


def test_an_event_comes_with_its_receipt(served):
    """Emitting says what was started and held, and passes everything on."""
    body = {"type": "order.paid", "data": {"id": 7}, "key": "a", "id": "x"}

    _, _, receipt = ask(served.state, "POST", "/events", body)

    assert receipt == {
        "event": evt(),
        "executions": [{"flow": "hello", "execution": exe()}],
        "held": ["held-flow"],
        "duplicate": False,
    }
    assert ("emit", "order.paid", {"id": 7}, "a", "x") in served.control.asked


def test_a_full_daemon_says_when_to_come_back(served):
    """What cannot be stored now is 503 with Retry-After."""
    status, headers, problem = ask(served.state, "POST", "/events", {"type": "full"})

    assert status == 503
    assert headers["Retry-After"] == "5"
    assert problem["detail"] == "the disk is full: nothing was stored"


def test_an_unexpected_error_tells_nothing_and_goes_on(served):
    """A bug is a 500 without its text, and the next request is answered."""
    status, _, problem = ask(served.state, "POST", "/events", {"type": "boom"})

    assert status == 500
    assert problem["detail"] == "an error that nobody expected: the daemon's log has it"
    assert ask(served.state, "GET", "/status")[0] == 200


def test_a_key_may_hold_a_slash(served):
    """A key of `state` is what follows the name, slashes and all."""
    ask(served.state, "PUT", "/state/route/a%2Fb", {"value": 1, "ttl": "2h"})

    _, _, view = ask(served.state, "GET", "/state/route/a/b")

    assert view["key"] == "a/b"
    assert ("set", "route", "a/b", 1, 7200.0) in served.control.asked


def test_metrics_are_text(served):
    """Prometheus gets its own content type."""
    _, headers, text = ask(served.state, "GET", "/metrics")

    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert text.endswith("reactor_up 1\n")


def test_only_the_owner_reaches_the_socket(served):
    """The socket belongs to the daemon's user alone."""
    assert stat.S_IMODE((served.state / "api.sock").stat().st_mode) == 0o600


def test_other_users_are_denied(tmp_path):
    """A process of another user gets 403 and exit code 5, whatever it asks for."""
    with serving(tmp_path, allowed=frozenset({os.getuid() + 1})) as served:
        status, _, problem = ask(served.state, "GET", "/flows")

    assert status == 403
    assert problem["exit_code"] == 5


def test_a_left_over_socket_is_replaced(tmp_path):
    """A daemon that was killed leaves its socket; the next one serves all the same."""
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "api.sock"))
    left.close()

    with serving(tmp_path) as served:
        assert ask(served.state, "GET", "/status")[0] == 200

    assert not (tmp_path / "api.sock").exists()


def test_a_long_path_is_no_obstacle(tmp_path):
    """The kernel's limit on the names of sockets is not the user's concern."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)

    with serving(deep) as served:
        assert ask(served.state, "GET", "/status")[0] == 200


def test_a_dead_letter_shows_its_event(served):
    """A dead letter comes with its execution and what the event said."""
    _, _, letter = ask(served.state, "GET", f"/dead/{ded()}")

    assert letter["execution"] == exe(FAILED)
    assert letter["data"] == {"name": "Ada", "total": 7}
    assert letter["id"] == ded(DEAD)
