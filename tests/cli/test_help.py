"""`reactor help`: the contents, pages and words, and what is said when there is none."""

import json
import re

import pytest

from reactor.cli.pages import ORDER
from tests.cli.conftest import run, run_at_terminal


def test_help_lists_the_pages():
    """Without a word there are the contents, in reading order."""
    ran = run("help")

    shown = re.findall(r"^\| `(\w+)` \|", ran.out, re.MULTILINE)
    assert (ran.code, tuple(shown)) == (0, ORDER)


def test_contents_for_programs():
    """--json prints one page a line."""
    ran = run("help", "--json")

    assert json.loads(ran.lines[0]) == {
        "page": "start",
        "title": "Your first flow in five minutes",
    }


@pytest.mark.parametrize(
    ("word", "heading"),
    [
        ("start", "# Your first flow in five minutes"),
        ("http", "# Webhooks"),
        ("http", "## `http` (source)"),
        ("http", "## `http` (action)"),
        ("file.read", "## `file.read` (action)"),
        ("truncate", '## `truncate(text, length, end="…")`'),
        ("tail", "## `reactor tail`"),
        ("retry", "# Retry and timeout"),
        ("retry", "## `reactor retry`"),
        ("server.listen", "## `server.listen`"),
        ("REACTOR_SERVER_LISTEN", "## `server.listen`"),
        ("server.tls", "## `server.tls.cert`"),
    ],
)
def test_help_finds_every_kind_of_word(word, heading):
    """Pages, sources, actions, functions, commands, settings: all that a word names."""
    ran = run("help", word)

    assert ran.code == 0
    assert heading in ran.lines


def test_a_word_for_programs():
    """--json prints each thing that a word names with its kind."""
    ran = run("help", "http", "--json")

    assert [json.loads(line)["kind"] for line in ran.lines] == ["page", "source", "action"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [("htpp", "did you mean http"), ("trunkate", "truncate"), ("xyzzy", "`reactor help` lists")],
)
def test_an_unknown_word_is_exit_4(word, hint):
    """What the manual does not have is met with what was probably meant."""
    ran = run("help", word)

    assert ran.code == 4
    assert hint in ran.err


def test_help_at_a_terminal_is_set_for_people(monkeypatch):
    """At a terminal headings are bold and tables aligned, without Markdown's marks."""
    ran = run_at_terminal("help", "errors")

    assert "\x1b[1mWhen something goes wrong\x1b[0m" in ran.out
    assert "```" not in ran.out
    assert "|---" not in ran.out


def test_help_without_colours(monkeypatch):
    """NO_COLOR leaves the text alone."""
    monkeypatch.setenv("NO_COLOR", "1")

    ran = run_at_terminal("help", "errors")

    assert "\x1b" not in ran.out
    assert "When something goes wrong" in ran.out
