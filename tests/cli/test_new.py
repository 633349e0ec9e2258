"""`reactor new`: flows to begin with."""

import json

import pytest

from reactor.cli.new import KINDS
from tests.cli.conftest import run


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_checks_and_tests(tmp_path, kind):
    """The flow and its tests pass as they are."""
    written = run("new", kind, "--flows", str(tmp_path))

    checked = run("check", "--flows", str(tmp_path))
    tested = run("test", "--flows", str(tmp_path))

    assert (written.code, checked.code, tested.code) == (0, 0, 0)
    assert checked.lines[-1] == "1 flow in 1 file: ok"


def test_kinds_are_listed():
    """Without a kind there is a line for each."""
    ran = run("new", "--json")

    assert [json.loads(line)["kind"] for line in ran.lines] == list(KINDS)


def test_a_flow_may_be_named(tmp_path):
    """The name is the file's, the flow's and that of the path."""
    ran = run("new", "webhook", "shop-orders", "--flows", str(tmp_path), "--json")

    file = tmp_path / "shop-orders.yaml"
    assert json.loads(ran.out) == {"flow": "shop-orders", "file": str(file)}
    assert "path: /hooks/shop-orders," in file.read_text()


def test_nothing_is_written_over(tmp_path):
    """A file that is there stays as it is."""
    file = tmp_path / "webhook.yaml"
    file.write_text("mine")

    ran = run("new", "webhook", "--flows", str(tmp_path))

    assert ran.code == 2
    assert "is there already" in ran.err
    assert file.read_text() == "mine"


def test_a_name_that_is_taken_is_refused(tmp_path):
    """Two flows of one name would be in conflict."""
    run("new", "webhook", "--flows", str(tmp_path))
    (tmp_path / "webhook.yaml").rename(tmp_path / "other.yaml")

    ran = run("new", "webhook", "--flows", str(tmp_path))

    assert ran.code == 2
    assert "a flow is called 'webhook' already" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["webhok"], 4, "did you mean webhook?"),
        (["xyzzy"], 4, "there are webhook, schedule"),
        (["webhook", "My Flow"], 3, "names of flows are"),
        (["webhook", "../out"], 3, "names of flows are"),
    ],
)
def test_what_cannot_be_written_says_why(tmp_path, arguments, code, words):
    """An unknown kind or a bad name is met with a remedy."""
    ran = run("new", *arguments, "--flows", str(tmp_path))

    assert ran.code == code
    assert words in ran.err
