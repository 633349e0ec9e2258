"""The house rules that no linter knows."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from reactor.loading.schema import json_schema
from reactor.plugin.catalog import Catalog

ROOT = Path(__file__).parent.parent
ROOMS = sorted((ROOT / "reactor").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

CATCH_ALL_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
BANNED_WORDS = {
    "Handler",
    "Helper",
    "Helpers",
    "Job",
    "Manager",
    "Node",
    "Processor",
    "Service",
    "Task",
    "Utils",
    "Workflow",
}
LONGEST_FILE = 400


def test_no_room_is_a_catch_all():
    """A file is called by what it is for, never utils, helpers, common, misc or manager."""
    named = [
        where(path)
        for path in ROOMS
        if CATCH_ALL_NAMES & set(path.relative_to(ROOT).with_suffix("").parts)
    ]

    assert named == []


def test_no_room_is_too_long():
    """Past 400 lines a file has a second room in it."""
    long = [where(path) for path in ROOMS if len(path.read_text().splitlines()) > LONGEST_FILE]

    assert long == []


def test_every_module_says_what_it_is_for():
    """Each file of Python begins with a docstring."""
    silent = [where(path) for path in ROOMS + TESTS if ast.get_docstring(tree(path)) is None]

    assert silent == []


def test_every_test_states_its_fact():
    """Each test has a docstring."""
    silent = [
        where(path, node)
        for path, node in nodes(TESTS)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and ast.get_docstring(node) is None
    ]

    assert silent == []


def test_classes_use_the_ten_words():
    """No class is called by a synonym of the ten words, or by a word that says nothing."""
    banned = [
        where(path, node)
        for path, node in nodes(ROOMS)
        if isinstance(node, ast.ClassDef) and BANNED_WORDS & set(words(node.name))
    ]

    assert banned == []


def test_nothing_is_global():
    """No function rebinds a module's names."""
    found = [where(path, node) for path, node in nodes(ROOMS) if isinstance(node, ast.Global)]

    assert found == []


def test_imports_are_absolute_and_real():
    """There are no relative imports and none for type checkers only."""
    found = [
        where(path, node)
        for path, node in nodes(ROOMS)
        if (isinstance(node, ast.ImportFrom) and node.level > 0)
        or (isinstance(node, ast.Name) and node.id == "TYPE_CHECKING")
        or (isinstance(node, ast.alias) and node.name == "TYPE_CHECKING")
    ]

    assert found == []


def test_rooms_do_not_import_the_embedded_api():
    """Nothing inside imports from `reactor` itself, but for rooms and the version."""
    inside = {path.stem for path in (ROOT / "reactor").iterdir()} | {"__version__"}

    found = [
        where(path, node)
        for path, node in nodes(ROOMS)
        if isinstance(node, ast.ImportFrom)
        and node.module == "reactor"
        and not {alias.name for alias in node.names} <= inside
    ]

    assert found == []


def test_nothing_is_left_for_later():
    """What is left to do stands in the tracker, not in the code."""
    marks = re.compile("TO" + "DO|FIX" + "ME")

    found = [where(path) for path in ROOMS + TESTS if marks.search(path.read_text())]

    assert found == []


def test_every_dependency_is_pinned():
    """Each library that we name has one exact version, and no line says where it is fetched."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = chain(project["dependencies"], *project["optional-dependencies"].values())
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]

    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in wanted}
    pinned = {line.partition("==")[0].lower() for line in pins}

    assert [line for line in pins if not re.fullmatch(r"[\w.-]+==[\w.+!]+", line)] == []
    assert {name.replace("_", "-") for name in pinned} >= names


def test_the_readme_shows_the_flow_that_is_there():
    """A newcomer reads in the README what `make run` serves."""
    flow = (ROOT / "flows" / "hello.yaml").read_text().partition("\n")[2]

    assert f"```yaml\n{flow}```\n" in (ROOT / "README.md").read_text()


def nodes(paths: list[Path]) -> Iterator[tuple[Path, ast.AST]]:
    """Every syntax node of the files."""
    for path in paths:
        for node in ast.walk(tree(path)):
            yield path, node


def tree(path: Path) -> ast.Module:
    """The file as Python sees it."""
    return ast.parse(path.read_text(), str(path))


def where(path: Path, node: ast.AST | None = None) -> str:
    """The place as a failing test prints it."""
    line = getattr(node, "lineno", 1)
    return f"{path.relative_to(ROOT)}:{line}"


def words(name: str) -> list[str]:
    """The parts of a class name: `HttpNode` is Http and Node."""
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)


def test_the_schema_beside_the_flows_is_the_program_s():
    """Editors check the sample flows against what `reactor schema` prints."""
    kept = json.loads((ROOT / "flows" / ".schema.json").read_text())

    assert kept == json_schema(Catalog()), "make it again: reactor schema > flows/.schema.json"
