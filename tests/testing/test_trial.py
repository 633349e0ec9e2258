"""Tests as users write them: every file in tests/trials, and what its tests say when run."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reactor.loading.load import Loading, load_text
from reactor.plugin.catalog import Catalog
from reactor.problem import render_text
from reactor.testing.trial import run_test

FILES = sorted((Path(__file__).parent.parent / "trials").glob("*.yaml"))
ENV = frozenset({"WHO"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_the_tests_of_a_file_say_what_they_should(path):
    """Those that fail say so at the expectation, with what happened; the others say nothing."""
    golden = YAML(typ="safe", pure=True).load(path.read_text())
    loading = Loading(catalog=Catalog(), env=ENV)
    loaded = load_text(golden["file"], "flow.yaml", loading)
    assert list(map(render_text, loaded.problems)) == []

    said = []
    for test in loaded.tests:
        verdict = await run_test(test, loading)
        said += [] if verdict.ok else ["", f"{test.flow.name}: {test.name}"]
        said += [*map(render_text, verdict.problems), *(f"> {line}" for line in verdict.happened)]

    assert "\n".join(said).strip() == golden["says"].strip()
