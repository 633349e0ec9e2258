"""The book is true: its flows load, its words exist, nothing is left out."""

import os
import re
import subprocess
import sys
from importlib.resources import files

import pytest

from reactor.cli import pages
from reactor.cli.entry import COMMANDS, root
from reactor.cli.typeset import typeset
from reactor.loading.lint import conflicts
from reactor.loading.load import Loading, load_text
from reactor.loading.testwords import (
    ExpectWords,
    FailsWords,
    FlowTestWords,
    MockWords,
    StepResult,
)
from reactor.plugin.catalog import Catalog
from reactor.plugin.dropin import load_plugins
from reactor.plugin.fields import names_of
from reactor.settings import describe_settings, load_settings
from reactor.testing.trial import run_test
from reactor.web.admin.endpoints import ALL

BOOK = {
    entry.name.removesuffix(".md"): entry.read_text(encoding="utf-8")
    for entry in (files("reactor") / "manual").iterdir()
    if entry.name.endswith(".md")
}
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language):
    """Every fenced block of a language with the page it stands on."""
    return [
        (page, block)
        for page, text in sorted(BOOK.items())
        for found, block in FENCED.findall(text)
        if found == language
    ]


FLOWS = [(page, block) for page, block in blocks("yaml") if block.startswith("flow:")]


@pytest.mark.parametrize(("page", "block"), FLOWS, ids=lambda value: value.partition("\n")[0])
def test_every_flow_of_the_book_loads(page, block):
    """What the reader copies works: no error, no warning."""
    loaded = load_text(block, f"{page}.md", Loading(catalog=Catalog()))

    assert [str(each) for each in loaded.problems if each.severity != "note"] == []
    assert len(loaded.flows) == 1


@pytest.mark.parametrize(("page", "block"), FLOWS, ids=lambda value: value.partition("\n")[0])
async def test_the_tests_of_the_book_pass(page, block):
    """A flow of the book that shows tests does what they say."""
    loading = Loading(catalog=Catalog())

    verdicts = [await run_test(test, loading) for test in load_text(block, page, loading).tests]

    assert [problem for verdict in verdicts for problem in verdict.problems] == []


def test_the_page_on_tests_shows_some():
    """The example of tests is there and has two."""
    ((_, block),) = [each for each in FLOWS if each[0] == "testing"]

    assert len(load_text(block, "testing", Loading(catalog=Catalog())).tests) == 2


def test_every_key_of_a_test_is_in_the_book():
    """The page on tests has each word of a test, a mock and an expectation."""
    text = BOOK["testing"]
    shapes = (FlowTestWords, MockWords, FailsWords, ExpectWords, StepResult)

    keys = {key for shape in shapes for key in names_of(shape)}
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", text)] == []


def test_the_flows_of_the_book_live_together():
    """Names and routes of the examples do not collide."""
    loaded = [load_text(block, page, Loading(catalog=Catalog())) for page, block in FLOWS]

    assert [str(each) for each in conflicts(loaded) if each.severity == "error"] == []


def test_the_settings_of_the_book_load(tmp_path):
    """The example of reactor.yaml has no mistake."""
    ((_, block),) = [each for each in blocks("yaml") if each[0] == "settings"]
    config = tmp_path / "reactor.yaml"
    config.write_text(block)

    assert load_settings(config=config, environ={}).defaults.tz == "Europe/Berlin"


def test_the_plugin_of_the_book_loads(tmp_path):
    """The example of a plugin brings its word."""
    ((_, block),) = [each for each in blocks("python") if each[0] == "plugins"]
    (tmp_path / "greet.py").write_text(block)

    catalog = Catalog(load_plugins(tmp_path))

    spec = catalog.find("action", "greet")
    assert spec is not None
    assert spec.summary == "Say hello."


def test_the_program_of_the_book_runs(tmp_path):
    """The example of the embedded API starts its flow."""
    ((_, block),) = [each for each in blocks("python") if each[0] == "embedding"]
    environ = {"PATH": os.defpath, "PYTHONPATH": str(files("reactor") / "..")}

    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        check=False,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "Started(flow='paid'" in done.stdout


def test_the_contents_name_every_page():
    """No page is lost, none is missing."""
    assert set(pages.ORDER) == set(BOOK)


@pytest.mark.parametrize("page", pages.ORDER)
def test_every_page_has_a_title(page):
    """The first line is the heading that the contents show."""
    assert BOOK[page].startswith("# ")
    assert pages.title(page)


def test_every_command_is_in_the_book():
    """The page of commands has a line for each."""
    text = pages.page_text("commands", root, Catalog())

    assert [name for name in COMMANDS if f"| `reactor {name}` |" not in text] == []


def test_every_setting_is_in_the_book():
    """The page of settings has a line for each."""
    text = pages.page_text("settings", root, Catalog())

    assert [key for key, *_ in describe_settings() if f"| `{key}` |" not in text] == []


def test_every_word_is_in_the_book():
    """The page of words has a line for each source and action."""
    catalog = Catalog()
    text = pages.page_text("words", root, catalog)

    words = [*catalog.words("source"), *catalog.words("action")]
    assert [word for word in words if f"| `{word}` |" not in text] == []


def test_commands_that_the_book_names_exist():
    """`reactor WORD` in the book is a command."""
    named = {word for text in BOOK.values() for word in re.findall(r"reactor ([a-z]+)\b", text)}
    prose = {"check", *COMMANDS}

    assert {word for word in named if f"`reactor {word}" in "".join(BOOK.values())} <= prose


def test_pages_that_the_book_names_exist():
    """`reactor help WORD` in the book leads somewhere."""
    catalog = Catalog()
    named = {word for text in BOOK.values() for word in re.findall(r"help ([a-z]+)\b", text)}

    assert [word for word in sorted(named) if not pages.look_up(word, root, catalog)] == []


def test_settings_that_the_book_names_exist():
    """A dotted name in backquotes that begins like a setting is one."""
    keys = {key for key, *_ in describe_settings()}
    sections = {key.partition(".")[0] for key in keys if "." in key}
    named = {
        name
        for text in BOOK.values()
        for name in re.findall(r"`([a-z_]+\.[a-z_.]+)`", text)
        if name.partition(".")[0] in sections
    }

    assert named - keys <= {"secrets.exec", "secrets.github_hook"}


def test_paths_of_the_api_that_the_book_names_exist():
    """What the page on the API lists is in the route table."""
    known = {each.path for each in ALL}
    named = re.findall(r"(?:GET|POST|DELETE) (/[a-z{}/_]+)", BOOK["embedding"])

    assert named
    assert set(named) <= known


def test_typesetting_leaves_no_marks():
    """At a terminal there are no backquotes, no fences, no table lines."""
    text = typeset(
        "# Title\n**a** `b`\n| x | `y\\|z` |\n|---|---|\n| long | z |\n```\ncode\n```\n", width=80
    )

    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert plain == "Title\na b\n  x     y|z\n  long  z\n    code\n"


def test_long_lines_are_wrapped_between_words():
    """A list item goes on below its text, and no code is torn apart."""
    text = typeset("- one two `three four` five", width=16)

    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert plain == "- one two\n  three four\n  five\n"
