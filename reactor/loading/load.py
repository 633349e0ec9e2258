"""Flow files in, checked flows or all their problems out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from reactor.errors import InvalidFlow
from reactor.loading import later
from reactor.loading.context import Context, Loading
from reactor.loading.flows import read_flow
from reactor.loading.flowtests import TEST_SUFFIXES, FlowTest, read_tests
from reactor.loading.reading import decode_text, read_documents
from reactor.loading.report import Report
from reactor.loading.values import At, MapValue, Value, map_from_plain
from reactor.loading.version import DEFAULTS_KEY, defaults_of
from reactor.model.flow import Flow
from reactor.problem import Problem

__all__ = [
    "Loaded",
    "Loading",
    "load_bytes",
    "load_document",
    "load_folder",
    "load_tests",
    "load_text",
]


class Loaded(Struct, frozen=True):
    """A file's flows, tests and problems; only these where one of them is an error."""

    file: str
    flows: tuple[Flow, ...]
    problems: tuple[Problem, ...]
    tests: tuple[FlowTest, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the file has an error."""
        return any(problem.severity == "error" for problem in self.problems)


def load_text(text: str, file: str, loading: Loading) -> Loaded:
    """The flows of a YAML text."""
    return _load(text, Report(file, text), loading)


def load_bytes(content: bytes, file: str, loading: Loading) -> Loaded:
    """The flows of a file's content."""
    report = Report(file)
    text = decode_text(content, report)
    if text is None:
        return Loaded(file, (), report.problems)
    return load_text(text, file, loading)


def load_tests(content: bytes, file: str, flows: Sequence[Flow], loading: Loading) -> Loaded:
    """The tests of a file `NAME.test.yaml`, of the flows of the file beside it."""
    report = Report(file)
    text = decode_text(content, report)
    if text is None:
        return Loaded(file, (), report.problems)
    report = Report(file, text)
    tests: tuple[FlowTest, ...] = ()
    for value in read_documents(text, report):
        entry = value.entry("tests") if isinstance(value, MapValue) else None
        if not isinstance(value, MapValue) or entry is None or len(value.entries) > 1:
            report.error(value, "a file of tests has one key: tests: a list of tests")
        elif flows:
            tests += read_tests(entry.value, flows, Context(loading, report), text)
        else:
            report.error(value, f"there is no flow for these tests: {flow_file(Path(file)).name}")
    return Loaded(file, (), report.problems, () if report.failed else tests)


def file_of_tests(flows: Path) -> Path | None:
    """The file with tests beside a file of flows, if there is one."""
    found = (flows.with_name(flows.stem + suffix) for suffix in TEST_SUFFIXES)
    return next((path for path in found if path.is_file()), None)


def flow_file(tests: Path) -> Path:
    """The file of flows that a file of tests is about."""
    stem = next(tests.name.removesuffix(end) for end in TEST_SUFFIXES if tests.name.endswith(end))
    other = tests.with_name(f"{stem}.yml")
    return other if other.is_file() else tests.with_name(f"{stem}.yaml")


def is_tests_file(path: Path) -> bool:
    """Whether a file holds tests, by its name."""
    return path.name.endswith(TEST_SUFFIXES)


def load_folder(folder: Path, loading: Loading) -> dict[str, Loaded]:
    """Every flow file below a folder by its path relative to it."""
    found: dict[str, Loaded] = {}
    for path in flow_files(folder):
        name = path.relative_to(folder).as_posix()
        try:
            content = path.read_bytes()
        except OSError as error:
            report = Report(name)
            report.error(At(1, 1, 1, 1), f"the file cannot be read: {error.strerror}")
            found[name] = Loaded(name, (), report.problems)
            continue
        found[name] = load_bytes(content, name, loading)
    return found


def flow_files(folder: Path) -> list[Path]:
    """The flow files below a folder; hidden ones and tests are none."""
    return [path for path in _yaml_files(folder) if not is_tests_file(path)]


def files_of_tests(folder: Path) -> list[Path]:
    """The files with tests below a folder."""
    return [path for path in _yaml_files(folder) if is_tests_file(path)]


def _yaml_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in (".yaml", ".yml")
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def load_document(document: Mapping[str, Any], loading: Loading) -> Flow:
    """The flow of a stored version, as it was with the defaults of its time.

    Raises InvalidFlow where the words of today no longer take it.
    """
    value = map_from_plain({key: part for key, part in document.items() if key != DEFAULTS_KEY})
    name = str(document.get("flow", "a stored flow"))
    report = Report(name)
    then = msgspec.structs.replace(loading, defaults=defaults_of(document, loading.defaults))
    flow = read_flow(value, Context(then, report))
    if flow is None:
        errors = (problem.message for problem in report.problems if problem.severity == "error")
        raise InvalidFlow(f"flow '{name}' as stored no longer loads: {'; '.join(errors)}")
    return flow


def _load(text: str, report: Report, loading: Loading) -> Loaded:
    documents = read_documents(text, report)
    if not documents and not report.failed:
        report.error(At(1, 1, 1, 1), "the file is empty: a flow begins with flow: NAME")
    context = Context(loading, report)
    found: list[Flow] = []
    tests: list[FlowTest] = []
    for value in documents:
        flow = _document(value, context, text)
        found += [] if flow is None else [flow]
        if not isinstance(value, MapValue) or value.entry("flow") is None:
            continue
        if (written := value.get("tests")) is not None:
            tests += read_tests(written, [] if flow is None else [flow], context, text)
    _same_names(found, report)
    if report.failed:
        return Loaded(report.file, (), report.problems)
    return Loaded(report.file, tuple(found), report.problems, tuple(tests))


def _document(value: Value, context: Context, text: str) -> Flow | None:
    report = context.report
    if not isinstance(value, MapValue):
        if not report.failed:
            report.error(value, "a document is a map that begins with flow: NAME")
        return None
    if not value.entries:
        report.error(value, "the document is empty: a flow begins with flow: NAME")
        return None
    first = value.entries[0].key.text
    if first in later.DOCUMENTS and value.entry("flow") is None:
        report.error(value.first, f"'{first}:' is not built yet: this build has flow: documents")
        return None
    if first == "tests" and value.entry("flow") is None:
        report.error(
            value.first, "tests stand in their flow, or in a file NAME.test.yaml beside it"
        )
        return None
    if value.entry("flow") is None:
        # Other keys are still explained, so that one look mends all.
        report.error(value.first, "flow is missing: a flow begins with flow: NAME")
        named = MapValue((*map_from_plain({"flow": "unnamed"}).entries, *value.entries), value.at)
        read_flow(named, context, text)
        return None
    if first != "flow":
        report.error(value.first, "the first key of a document says what it is: move flow: up")
    return read_flow(value, context, text)


def _same_names(flows: list[Flow], report: Report) -> None:
    seen: dict[str, Flow] = {}
    for flow in flows:
        if (before := seen.get(flow.name)) is not None:
            where = flow.place
            at = At(where.line, where.column, where.line, where.column + 4)
            report.error(
                at, f"two flows are called '{flow.name}', the first on line {before.place.line}"
            )
        seen.setdefault(flow.name, flow)
