"""The flows that come with Reactor do what their own tests say."""

from pathlib import Path

import pytest

from reactor.cli.new import KINDS, starter
from reactor.loading.load import (
    Loading,
    file_of_tests,
    flow_files,
    load_bytes,
    load_tests,
    load_text,
)
from reactor.plugin.catalog import Catalog
from reactor.problem import render_text
from reactor.testing.trial import run_test

FLOWS = Path(__file__).parent.parent / "flows"
LOADING = Loading(catalog=Catalog())


def loaded_files():
    """Every sample file with the tests in it and beside it."""
    for path in flow_files(FLOWS):
        loaded = load_bytes(path.read_bytes(), path.name, LOADING)
        beside = file_of_tests(path)
        yield loaded.flows, loaded.tests
        if beside is not None:
            found = load_tests(beside.read_bytes(), beside.name, loaded.flows, LOADING)
            assert found.problems == ()
            yield (), found.tests


FILES = list(loaded_files())
TESTS = [test for _, tests in FILES for test in tests]


@pytest.mark.parametrize("test", TESTS, ids=lambda test: f"{test.flow.name}: {test.name}")
async def test_a_sample_flow_does_what_its_test_says(test):
    """The same as `reactor test flows`, one test at a time."""
    verdict = await run_test(test, LOADING)

    assert list(map(render_text, verdict.problems)) == []


def test_every_sample_flow_has_a_test():
    """No flow of ours is without one."""
    flows = {flow.name for flows, _ in FILES for flow in flows}

    assert flows - {test.flow.name for test in TESTS} == set()


@pytest.mark.parametrize("kind", KINDS)
async def test_what_new_writes_passes_its_tests(kind):
    """Each flow to begin with loads without a word, and its tests pass."""
    loaded = load_text(starter(kind, "mine"), "mine.yaml", LOADING)

    verdicts = [await run_test(test, LOADING) for test in loaded.tests]

    assert loaded.problems == ()
    assert [flow.name for flow in loaded.flows] == ["mine"]
    assert len(verdicts) >= 2
    assert [problem for verdict in verdicts for problem in verdict.problems] == []
