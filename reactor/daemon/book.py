"""The flows folder as the daemon serves it: what loads, what is kept from before, what is broken."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from reactor.loading.lint import conflicts
from reactor.loading.load import Loaded, Loading, flow_files, load_bytes, load_text
from reactor.model.flow import Flow
from reactor.problem import Place, Problem
from reactor.store import FlowFile

Signature = tuple[int, int, int]


class Page(Struct, frozen=True):
    """One flow file: what serves of it, and what its text on disk says.

    `good` is the last text that loaded and fits the others; `stale` means that the text on disk is
    not it.
    """

    path: str
    signature: Signature | None
    good: str | None
    flows: tuple[Flow, ...]
    problems: tuple[Problem, ...]
    stale: bool = False

    @property
    def state(self) -> Literal["good", "stale", "broken"]:
        """How the file stands."""
        if not self.stale:
            return "good"
        return "stale" if self.flows else "broken"


class Turned(Struct, frozen=True):
    """What reading the folder again changed."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    problems: tuple[Problem, ...]
    rows: tuple[FlowFile, ...]

    @property
    def anything(self) -> bool:
        """Whether other flows serve now than before."""
        return bool(self.added or self.changed or self.removed)


class Book:
    """All flow files. A file that does not load keeps its last good version, over restarts too.

    Only deleting the file, or the flow in it, removes a flow. A conflict between two files is a
    problem of the one that changed last.
    """

    def __init__(self, folder: Path, loading: Loading, kept: Iterable[FlowFile] = ()) -> None:
        self.folder = folder
        self.loading = loading
        self._kept = {row.path: row.text for row in kept if row.text is not None}
        self.pages: dict[str, Page] = {}

    @property
    def flows(self) -> list[Flow]:
        """The flows that serve, in order of their files."""
        return [flow for path in sorted(self.pages) for flow in self.pages[path].flows]

    @property
    def problems(self) -> list[Problem]:
        """Everything that is wrong in the files now."""
        return [problem for path in sorted(self.pages) for problem in self.pages[path].problems]

    def read(self, *, every: bool = False) -> Turned:
        """Read what changed since the last time (all of it with `every`: settings may have)."""
        before = dict(self.pages)
        found = {path.relative_to(self.folder).as_posix(): path for path in flow_files(self.folder)} if self.folder.is_dir() else {}  # fmt: skip
        for path in list(self.pages):
            if path not in found:
                del self.pages[path]
        fresh = []
        for path, file in found.items():
            signature = _signature(file)
            page = before.get(path)
            if every or page is None or page.signature != signature:
                fresh.append((path, signature, self._load(path, file)))
        for path, signature, (text, loaded) in fresh:
            self._turn(path, signature, text, loaded, before.get(path))
        return self._turned(before)

    def _load(self, path: str, file: Path) -> tuple[str | None, Loaded]:
        try:
            content = file.read_bytes()
        except OSError as error:
            content = b""
            loaded = load_bytes(content, path, self.loading)
            return None, Loaded(path, (), (*loaded.problems, _unreadable(path, error)))
        loaded = load_bytes(content, path, self.loading)
        return (None if loaded.failed else content.decode("utf-8-sig")), loaded

    def _turn(
        self,
        path: str,
        signature: Signature | None,
        text: str | None,
        loaded: Loaded,
        before: Page | None,
    ) -> None:
        others = [Loaded(p.path, p.flows, ()) for p in self.pages.values() if p.path != path]
        clashes: tuple[Problem, ...] = ()
        if not loaded.failed:
            found = conflicts([*others, loaded])
            clashes = tuple(problem for problem in found if problem.place.file == path)
        problems = (*loaded.problems, *clashes)
        if not any(problem.severity == "error" for problem in problems):
            flows = self._same(loaded.flows, before)
            self.pages[path] = Page(path, signature, text, flows, problems)
            self._kept[path] = text or ""
            return
        good = self._kept.get(path)
        flows = () if before is None else before.flows
        if before is None and good is not None:
            again = load_text(good, path, self.loading)
            flows = () if again.failed or _clash(again, others) else again.flows
        self.pages[path] = Page(path, signature, good, flows, problems, stale=True)

    def _same(self, flows: tuple[Flow, ...], before: Page | None) -> tuple[Flow, ...]:
        """Keep the very objects of flows that did not change, so that their sources are not touched."""
        old = {} if before is None else {flow.name: flow for flow in before.flows}
        return tuple(old[flow.name] if _same(old.get(flow.name), flow) else flow for flow in flows)

    def _turned(self, before: Mapping[str, Page]) -> Turned:
        old = {flow.name: flow for page in before.values() for flow in page.flows}
        new = {flow.name: flow for flow in self.flows}
        rows = [
            FlowFile(path, page.good)
            for path, page in self.pages.items()
            if page.good is not None and (path not in before or before[path].good != page.good)
        ]
        gone = [path for path in {*before, *self._kept} if path not in self.pages]
        for path in gone:
            self._kept.pop(path, None)
        rows += [FlowFile(path, None) for path in gone]
        fresh = [page for path, page in self.pages.items() if before.get(path) is not page]
        return Turned(
            added=tuple(sorted(new.keys() - old.keys())),
            changed=tuple(
                sorted(name for name in new.keys() & old.keys() if new[name] is not old[name])
            ),
            removed=tuple(sorted(old.keys() - new.keys())),
            problems=tuple(problem for page in fresh for problem in page.problems),
            rows=tuple(rows),
        )


def _same(old: Flow | None, new: Flow) -> bool:
    return old is not None and old.version == new.version and old.document == new.document


def _clash(loaded: Loaded, others: list[Loaded]) -> bool:
    return any(
        problem.severity == "error" and problem.place.file == loaded.file
        for problem in conflicts([*others, loaded])
    )


def _signature(file: Path) -> Signature | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _unreadable(path: str, error: OSError) -> Problem:
    message = f"the file cannot be read: {error.strerror}; mend its permissions"
    return Problem(Place(path, 1, 1), message)
