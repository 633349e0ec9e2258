"""The flows folder as the daemon serves it."""

from pathlib import Path

import pytest

from reactor.daemon.book import Book
from reactor.loading.load import Loading
from reactor.plugin.catalog import Catalog
from reactor.store import FlowFile

GOOD = "flow: {0}\nwhen: {{event: {{type: {0}}}}}\ndo: [{{log: {1}}}]\n"
LOADING = Loading(catalog=Catalog())


def write(folder: Path, name: str, text: str) -> Path:
    """Write a flow file."""
    file = folder / name
    file.write_text(text)
    return file


def names(book: Book) -> list[str]:
    """The flows that serve."""
    return [flow.name for flow in book.flows]


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """The book of an empty folder."""
    return Book(tmp_path, LOADING)


def test_an_unchanged_flow_is_the_very_same(book: Book) -> None:
    """A flow that did not change is the same object after a whole reading."""
    write(book.folder, "a.yaml", GOOD.format("one", "hi"))
    write(book.folder, "b.yaml", GOOD.format("two", "hi"))
    book.read()
    one, two = book.flows
    write(book.folder, "b.yaml", GOOD.format("two", "bye"))

    turned = book.read(every=True)

    assert turned.changed == ("two",)
    assert book.flows[0] is one
    assert book.flows[1] is not two


def test_only_changed_texts_are_stored(book: Book) -> None:
    """The rows for the store are the good texts that are new, and what is gone."""
    file = write(book.folder, "a.yaml", GOOD.format("one", "hi"))
    text = file.read_text()
    assert book.read().rows == (FlowFile("a.yaml", text),)
    assert book.read().rows == ()
    write(book.folder, "a.yaml", "flow: one\n")
    assert book.read().rows == ()
    file.unlink()

    assert book.read().rows == (FlowFile("a.yaml", None),)


def test_a_kept_version_serves_after_a_start(tmp_path: Path) -> None:
    """A file that does not load runs its stored version; it is stale."""
    write(tmp_path, "a.yaml", "flow: one\n")
    book = Book(tmp_path, LOADING, [FlowFile("a.yaml", GOOD.format("one", "hi"))])

    turned = book.read()

    assert names(book) == ["one"]
    assert book.pages["a.yaml"].state == "stale"
    assert turned.rows == ()


def test_what_served_before_the_stop_goes_first(tmp_path: Path) -> None:
    """Of two files with one flow the one that served before keeps it, whatever its name."""
    text = GOOD.format("same", "first")
    write(tmp_path, "z.yaml", text)
    write(tmp_path, "a.yaml", GOOD.format("same", "second"))
    book = Book(tmp_path, LOADING, [FlowFile("z.yaml", text)])

    book.read()

    assert {path: page.state for path, page in book.pages.items()} == {
        "a.yaml": "broken",
        "z.yaml": "good",
    }


def test_a_conflict_keeps_what_the_file_had(book: Book) -> None:
    """A file whose new text takes another's flow runs its old text on."""
    write(book.folder, "a.yaml", GOOD.format("one", "hi"))
    write(book.folder, "b.yaml", GOOD.format("two", "hi"))
    book.read()
    write(book.folder, "b.yaml", GOOD.format("one", "mine"))

    turned = book.read()

    assert names(book) == ["one", "two"]
    assert not turned.anything
    assert book.pages["b.yaml"].state == "stale"


def test_the_same_is_said_once(book: Book) -> None:
    """A file that stays broken is no news at the next reading."""
    write(book.folder, "a.yaml", "flow: one\n")
    first, second = book.read(), book.read()

    assert [page.path for page in first.pages] == ["a.yaml"]
    assert second.pages == ()


def test_a_folder_with_the_name_of_a_file(book: Book) -> None:
    """It is no flow file; its neighbours load."""
    folder = book.folder / "deep.yaml"
    folder.mkdir()
    write(book.folder, "b.yaml", GOOD.format("two", "hi"))

    book.read()

    assert names(book) == ["two"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Without a folder there are no flows, and what was there is gone."""
    book = Book(tmp_path / "none", LOADING, [FlowFile("a.yaml", "flow: one\n")])

    turned = book.read()

    assert book.flows == []
    assert turned.rows == (FlowFile("a.yaml", None),)


def test_texts_beside_the_folder(book: Book) -> None:
    """A given text serves and is not stored; a wrong one leaves what was there."""
    book.given["mine"] = GOOD.format("one", "hi")
    assert book.read().rows == ()
    book.given["mine"] = "flow: one\n"

    book.read()

    assert names(book) == ["one"]
    assert book.pages["mine"].state == "stale"
