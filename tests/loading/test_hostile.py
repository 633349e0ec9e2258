"""Files that are too large, too deep, not text, or made to hurt."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.loading.load import Loading, load_bytes, load_text
from tests.loading.small_words import SmallCatalog
from tests.loading.test_load import CONTROL, SLACK

START = "flow: f\nwhen: {call: {}}\n"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join(['*' + before] * 10)}]\n"
    for before, after in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.fixture
def loading():
    """The small words."""
    return Loading(catalog=SmallCatalog())


def said(content, loading):
    """The messages about a file's content."""
    loaded = load_bytes(content, "f.yaml", loading)
    assert loaded.flows == ()
    return [problem.message for problem in loaded.problems]


def test_a_large_file_is_refused_unread(loading):
    """Over 64 KiB nothing is parsed."""
    assert said(b"#" * 65537, loading) == [
        "the file has 64KiB; a flow file has at most 64KiB: split it"
    ]


def test_other_encodings_are_refused_with_their_place(loading):
    """Bytes that are no UTF-8 are told by line and column."""
    loaded = load_bytes(b"flow: f\nabout: caf\xe9\n", "f.yaml", loading)

    assert str(loaded.problems[0]) == "f.yaml:2:11: the file is no UTF-8 text: save it as UTF-8"


def test_utf_16_is_refused(loading):
    """A file of another encoding is said to be one."""
    assert said("flow: f\n".encode("utf-16"), loading) == [
        "the file is no UTF-8 text: save it as UTF-8"
    ]


@pytest.mark.parametrize("sign", ["\x00", "\x01", "\x07", "\x1b"])
def test_control_characters_are_refused(loading, sign):
    """No control character reaches a terminal or a log by way of a flow."""
    assert said(f"{START}about: a{sign}b\ndo: [{{log: hi}}]\n".encode(), loading) == [
        "the file holds control characters that YAML does not allow: remove them"
    ]


def test_an_alias_bomb_is_refused(loading):
    """Aliases are counted by what they expand to."""
    assert said((BOMB + START).encode(), loading) == [
        "aliases expand to over 10,000 values: write them out"
    ]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused(loading, opening):
    """Over 64 levels the file is not read on, however many more there are."""
    text = "a:\n" + opening * 10_000 if opening == "- " else "a: " + opening * 10_000

    assert said(text.encode(), loading) == ["nested over 64 deep: split the flow with call"]


def test_a_long_line_is_shown_in_part(loading):
    """The source line of a problem is cut where it would fill the screen."""
    loaded = load_text(f"{START}about: {'x' * 500}\nabuot: {'x' * 500}\n", "f.yaml", loading)

    assert max(len(problem.snippet or "") for problem in loaded.problems) <= 161


def test_python_objects_are_never_made(loading):
    """Tags of YAML libraries are refused like any other."""
    text = START + "vars: {a: !!python/object/apply:os.system [id]}\ndo: [{log: hi}]\n"

    (message,) = said(text.encode(), loading)
    assert message.startswith("tags are not read: remove !!python/object/apply:os.system")


@pytest.mark.parametrize(
    "text",
    [
        "?",
        "---",
        "--- !",
        "&a",
        "*a",
        "!",
        "{",
        "[",
        "- - - :",
        "flow: [",
        "flow: {flow: {flow",
        "flow: f\nwhen: []\ndo: {}",
        "flow: f\nwhen: {http: [], call: []}\ndo: [[], {}, null, 1]",
        "flow: f\nwhen: {call: {}}\ndo: [{log: {a: {b: c}}, retry: [], each: {}, output: [[]]}]",
        "flow: f\nwhen: {call: {}}\nvars: []\nrun: []\nkeep: []\nretry: {}\ndead_letter: {}\ndo: 1",
        "flow: f\nwhen: {call: {}}\ndo: [{set: {a: {value: {}}}}, {vars: []}, {map: {}}]",
        "flow: f\nwhen: {event: {}, key: {}, split: {}, dedup: 1}\ndo: [{http: }]",
        "flow: []\nabout: []\nenabled: []\nlabels: []\nwhen: 1\ndo: 1\ntests: 1\noutput: {}",
    ],
)
def test_nonsense_is_told_and_nothing_else(loading, text):
    """Whatever stands in a file, the answer is a list of problems."""
    assert said(text.encode(), loading) != []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "do:\n" + "".join(f"  - log: a{number}\n" for number in range(4000)),
            "a flow has at most 500 steps: split it with call",
        ),
        (
            "vars: {a: [" + "f(, " * 14_000 + "x]}\ndo: [{log: hi}]\n",
            "a comma ends an unquoted text inside […]: quote it",
        ),
    ],
    ids=["steps", "cuts"],
)
def test_thousands_of_a_thing_are_one_problem(loading, text, message):
    """What repeats a thousand times is told once, so that no file keeps the loader busy."""
    (told,) = said((START + text).encode(), loading)

    assert told.startswith(message)


PIECES = (
    "${{",
    "}}",
    "{",
    "]",
    ": ",
    "- ",
    "\n",
    "\n    ",
    "'",
    '"',
    " #",
    "!",
    "*",
    "|",
    "\t",
    "é",
)


@settings(max_examples=80)
@given(
    text=st.sampled_from((SLACK, CONTROL)),
    changes=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 6), st.sampled_from(PIECES)), max_size=4
    ),
)
def test_any_slip_of_the_finger_is_told(text, changes):
    """Whatever is cut out or typed in between: either the file loads or a problem has a place."""
    for where, cut, piece in changes:
        start = round(where * len(text))
        text = text[:start] + piece + text[start + cut :]

    loaded = load_text(text, "f.yaml", Loading(catalog=SmallCatalog(), allow_later=True))

    assert loaded.flows or loaded.failed
    assert all(p.place.line >= 1 and p.place.column >= 1 for p in loaded.problems)
