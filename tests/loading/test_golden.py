"""Every file in tests/lint: a flow as somebody wrote it (`file`), and what we say (`says`).

`later: true` lets words of later builds through; `words: small` is for messages that list words.
"""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reactor.loading.load import Loading, load_text
from reactor.plugin.catalog import Catalog
from reactor.problem import render_text
from tests.loading.small_words import SmallCatalog

FILES = sorted((Path(__file__).parent.parent / "lint").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_mistake_is_told_with_its_place_and_remedy(path):
    """The problems of the file are exactly those that the golden file says, rendered as text."""
    golden = YAML(typ="safe", pure=True).load(path.read_text())
    catalog = SmallCatalog() if golden.get("words") == "small" else Catalog()
    loading = Loading(catalog=catalog, allow_later=golden.get("later", False))

    loaded = load_text(golden["file"], "flow.yaml", loading)

    assert "\n".join(map(render_text, loaded.problems)) == golden["says"].rstrip("\n")


def test_every_collected_mistake_has_a_file():
    """The mistakes that the design collected are numbered, and none is missing."""
    numbers = {int(match[1]) for path in FILES if (match := re.match(r"mistake-(\d+)", path.stem))}

    assert numbers == set(range(1, 52))


def test_there_are_many_more():
    """At least forty mistakes more were thought of."""
    assert sum(not path.stem.startswith("mistake-") for path in FILES) >= 40
