"""Verbs that read flows without a daemon."""

import json

import pytest

from reactor.cli.explain import authors_part
from tests.cli.conftest import run

GOOD = """\
flow: hello
about: Greets.
when:
  http: {path: /hello, verify: none}
  only_if: event.body.name
  key: event.body.name
unless: event.body.silent
vars: {who: "${{ event.body.name }}"}
run: {mode: queue, timeout: 1h}
do:
  - log: hello ${{ vars.who }}
  - id: tell
    http: {post: "https://tell.test/${{ vars.who }}"}
    retry: 3
  - id: fetch
    http: {get: "http://${{ event.body.host }}/x"}
  - file.append: {path: "greeted/${{ vars.who }}.txt", text: hi}
    on_error: continue
on_error:
  - log: failed
"""
BAD = GOOD.replace("flow: hello", "flow: bad").replace("unless:", "if:")


@pytest.fixture
def folder(tmp_path):
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "hello.yaml").write_text(GOOD)
    return flows


def test_good_flows_are_counted(folder):
    """Without mistakes there is one line and exit 0."""
    ran = run("check", str(folder / "hello.yaml"), "--flows", str(folder))

    assert ran.code == 0
    assert ran.lines[-1] == "1 flow in 1 file: 1 note"


def test_mistakes_are_exit_3(folder):
    """A mistake is shown with its place, line and remedy; the last line counts."""
    (folder / "bad.yaml").write_text(BAD)

    ran = run("check", "--flows", str(folder))

    assert ran.code == 3
    assert ran.lines[0].startswith(f"{folder}/bad.yaml:7:1: ")
    assert "only_if" in ran.lines[0]
    assert ran.lines[-1].startswith("1 flow in 2 files: 1 error")


def test_mistakes_for_programs(folder):
    """--json prints one mistake a line and nothing else."""
    (folder / "bad.yaml").write_text(BAD)

    ran = run("check", "--flows", str(folder), "--json")

    first = json.loads(ran.lines[0])
    assert list(first) == [
        "file", "line", "column", "severity", "message", "snippet", "repaired"
    ]  # fmt: skip
    assert (first["line"], first["severity"]) == (7, "error")
    assert run("check", "--flows", str(folder), "--format", "json").out == ran.out


def test_mistakes_for_github(folder):
    """--format github prints annotations."""
    (folder / "bad.yaml").write_text(BAD)

    ran = run("check", "--flows", str(folder), "--format", "github")

    assert ran.lines[0].startswith(f"::error file={folder}/bad.yaml,line=7,col=1::")


def test_conflicts_are_found_from_file_to_file(folder):
    """One file is checked against the others of the folder, which stay unmentioned."""
    (folder / "more.yaml").write_text(GOOD)

    ran = run("check", str(folder / "more.yaml"), "--flows", str(folder))

    assert ran.code == 3
    assert all(f"{folder}/more.yaml:" in line for line in ran.lines if ": error" in line)
    assert ran.lines[-1].startswith("1 flow in 1 file: ")


def test_a_missing_file_is_exit_4(folder):
    """A path that is not there is said so."""
    ran = run("check", str(folder / "nope.yaml"))

    assert ran.code == 4
    assert "there is no file or folder" in ran.err


def test_explain_follows_the_pipeline(folder):
    """Every stage in the order in which it happens, with the flow's own values."""
    ran = run("explain", "hello", "--flows", str(folder))

    assert ran.lines == [
        "flow hello",
        f"  file          {folder}/hello.yaml:1",
        "  about         Greets.",
        "when http",
        '  receive       http: {"path": "/hello", "verify": "none"}',
        "  verify        none: anyone who reaches the port, which must be loopback",
        "  only_if       event.body.name",
        "  key           event.body.name",
        "  guarantee     at least once; exactly once where the sender gives an id",
        "start",
        "  unless        event.body.silent",
        "  store         event, identity and execution in one commit, on disk",
        "  acknowledge   the source is told only now",
        "  run           queue, one at a time for each key, cancelled after 1h",
        "  vars.who      ${{ event.body.name }}",
        "do",
        "  log           log: hello ${{ vars.who }}",
        '  tell          http: {"post": "https://tell.test/${{ vars.who }}"}',
        "                host: the author's, private addresses too",
        "                retry up to 3 times, after 1s, times 2 up to 5m, with jitter",
        "                timeout 30s for each attempt",
        '  fetch         http: {"get": "http://${{ event.body.host }}/x"}',
        "                host: from event data, public addresses only",
        "                timeout 30s for each attempt",
        '  file_append   file.append: {"path": "greeted/${{ vars.who }}.txt", "text": "hi"}',
        "                path: from event data, never out of greeted/",
        "                timeout 5m for each attempt",
        "                a failure does not stop the flow",
        "on_error",
        "  log_2         log: failed",
        "dead letter",
        "  kept          in the store: reactor dead ls",
        "end",
        "  keep          7d when ok, 30d when failed",
    ]


def test_explain_knows_the_path_of_a_found_file(folder):
    """It is data, but it lies below what the trigger's author wrote."""
    (folder / "found.yaml").write_text(
        "flow: found\nwhen: {file: {path: in/*}}\n"
        'do: [{file.delete: {path: "${{ event.data.path }}"}}]\n'
    )

    ran = run("explain", "found", "--flows", str(folder))

    reach = "the file of the trigger, never out of the fixed part of the trigger's path"
    assert f"path: {reach}" in [line.strip() for line in ran.lines]


def test_explain_for_programs(folder):
    """--json prints one stage a line."""
    ran = run("explain", "hello", "--flows", str(folder), "--json")

    assert json.loads(ran.lines[3]) == {
        "part": "when http",
        "stage": "verify",
        "text": "none: anyone who reaches the port, which must be loopback",
    }


def test_explain_of_no_flow_is_exit_4(folder):
    """A wrong name is met with the nearest."""
    ran = run("explain", "helo", "--flows", str(folder))

    assert ran.code == 4
    assert "did you mean hello?" in ran.err


def test_explain_of_a_broken_flow_is_exit_3(folder):
    """A flow that does not load has no stages."""
    (folder / "bad.yaml").write_text(BAD)

    ran = run("explain", "bad", "--flows", str(folder))

    assert ran.code == 3
    assert "`reactor check` says why" in ran.err


@pytest.mark.parametrize(
    ("text", "begins", "whole"),
    [
        ("https://a.test/x", "https://a.test/x", True),
        ("${{ secrets.url }}/x", "${{ secrets.url }}/x", True),
        ("/data/${{ event.body.name }}", "/data/", False),
        ("/data/${{ vars.tainted }}", "/data/", False),
        ("/data/${{ vars.own }}/${{ steps.a.output }}", "/data/${{ vars.own }}/", False),
        ("${{ item.url }}", "", False),
        ("${{ repo.url }}", "", False),
    ],
)
def test_the_authors_part_ends_where_data_begins(text, begins, whole):
    """What the author wrote, vars, env and secrets are the author's; all else is data."""
    assert authors_part(text, frozenset({"tainted"})) == (begins, whole)


def test_schema_is_a_json_schema():
    """The schema knows the words that are built."""
    ran = run("schema")

    found = json.loads(ran.out)
    assert found["$schema"].startswith("https://json-schema.org/")
    assert json.loads(run("schema", "--json").out) == found


def test_describe_tells_both_of_a_name():
    """A word that is a source and an action is described as both."""
    ran = run("describe", "http")

    assert ran.code == 0
    assert "http (source): " in ran.out
    assert "http (action): " in ran.out


def test_describe_for_programs():
    """--json gives the schema of what stands under the word."""
    ran = run("describe", "log", "--json")

    (line,) = ran.lines
    assert {"word": "log", "kind": "action"}.items() <= json.loads(line).items()


@pytest.mark.parametrize(
    ("word", "hint"), [("htp", "did you mean http?"), ("grpc", "not built yet")]
)
def test_an_unknown_word_is_exit_4(word, hint):
    """A wrong word is met with the nearest, a later one with its truth."""
    ran = run("describe", word)

    assert ran.code == 4
    assert hint in ran.err
