"""A daemon of its own for a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import Daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that is not started yet, in a folder of its own."""
    made = Daemon(tmp_path)
    yield made
    made.end()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder takes seconds."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
