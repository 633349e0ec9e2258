"""Tests as the loader reads them: what they come to, and that nothing written breaks it."""

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from ruamel.yaml import YAML

from reactor.loading.load import Loading, load_tests, load_text
from reactor.plugin.catalog import Catalog

FLOW = """\
flow: f
when:
  - {id: push, http: {path: /a, verify: none}}
  - {id: paid, event: {type: order.paid}}
do:
  - id: notify
    http: {post: "http://a.test/"}
  - id: heard
    repeat: {max: 1, do: [log: told]}
dead_letter:
  http: {post: "http://b.test/"}
"""
TEST = """\
- name: a push is told
  now: '2026-02-01T00:00:00+01:00'
  state: {count: {a: 1}}
  env: {WHO: ann}
  given:
    - push: {headers: {X-A: b}, body: {n: 1}, id: x}
    - {at: 5m, paid: {data: 1}}
    - event: {type: other, data: 1}
    - start: {trigger: push, data: {n: 2}}
    - at: 1h
  mock: {notify: [{fails: {status: 503}}, {output: 1}], dead_letter: {fails: gone}}
  expect:
    executions: [ok, {execution: ok, steps: {notify: {times: [0s, 1s]}, log: ok}}]
    decision: {decision: started}
    state: {count: {a: 2}}
"""
JUNK: list[Any] = [None, "${{ event }}", [5], {"at": {}}]
LOADING = Loading(catalog=Catalog())


def read(tests: Any) -> Any:
    """A file with a flow and these tests, loaded."""
    written = msgspec.json.encode(tests).decode()
    return load_text(f"{FLOW}tests: {written}\n", "f.yaml", LOADING)


def plain() -> Any:
    """The test as plain data."""
    return YAML(typ="safe", pure=True).load(TEST)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything inside a value."""
    if path:
        yield path
    items: Any = ()
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield from places(inner, (*path, key))


def test_a_test_is_read_whole():
    """Each part is there, resolved against the flow."""
    loaded = read(plain())

    (test,) = loaded.tests
    assert loaded.problems == ()
    assert (test.flow.name, test.name) == ("f", "a push is told")
    assert test.now_ms == 1_769_900_400_000
    assert [given.at_ms for given in test.given] == [None, 300_000, None, None, 3_600_000]
    assert [given.source for given in test.given] == ["http", "event", "event", "", ""]
    assert test.given[1].event == {"data": 1, "type": "order.paid"}
    assert [len(answers) for answers in test.mocks.values()] == [2, 1]


def test_tests_are_no_part_of_a_version():
    """A flow whose tests change is the same flow."""
    changed = plain()
    changed[0]["state"] = {}

    assert read(plain()).flows[0].version == read(changed).flows[0].version


@pytest.mark.parametrize("path", list(places(plain())), ids=lambda path: ".".join(map(str, path)))
def test_whatever_is_written_is_told_not_raised(path):
    """Junk in any place gives problems or a test, never an error of ours."""
    for junk in JUNK:
        changed = copy.deepcopy(plain())
        inside = changed
        for key in path[:-1]:
            inside = inside[key]
        inside[path[-1]] = junk

        loaded = read(changed)

        assert loaded.failed != bool(loaded.tests)
        assert loaded.failed != bool(loaded.flows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"flow: x\n", "a file of tests has one key: tests"),
        (b"tests: []\nmore: 1\n", "a file of tests has one key: tests"),
        (b"- 1\n", "a file of tests has one key: tests"),
        (b"tests: {}\n", "tests is a list of maps"),
        (b"\xff", "no UTF-8"),
        (b"tests: [\n", ""),
    ],
)
def test_a_file_of_tests_has_one_form(content, message):
    """Anything else says what belongs there."""
    flows = load_text(FLOW, "f.yaml", LOADING).flows

    loaded = load_tests(content, "f.test.yaml", flows, LOADING)

    assert loaded.tests == ()
    assert message in loaded.problems[0].message


def test_a_file_of_tests_may_be_empty():
    """No tests are no mistake."""
    flows = load_text(FLOW, "f.yaml", LOADING).flows

    assert load_tests(b"tests: []\n", "f.test.yaml", flows, LOADING).problems == ()
