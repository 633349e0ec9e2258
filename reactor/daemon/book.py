"""The flows folder as the daemon serves it: what loads, what is kept, what is broken."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from reactor.loading.lint import conflicts
from reactor.loading.load import Loaded, Loading, flow_files, load_bytes, load_text
from reactor.model.flow import Flow
from reactor.problem import Place, Problem
from reactor.store import FlowFile

Signature = tuple[int, int, int]


class Page(Struct, frozen=True):
    """One flow file: what serves of it, and what its text on disk says.

    `good` is the last text that loaded and fitted the others; `stale` means that the text on disk
    is not it. `problems` are the file's own, `clashes` those that it has with other files now.
    """

    path: str
    signature: Signature | None
    good: str | None
    flows: tuple[Flow, ...]
    problems: tuple[Problem, ...] = ()
    clashes: tuple[Problem, ...] = ()
    stale: bool = False

    @property
    def state(self) -> Literal["good", "stale", "broken"]:
        """How the file stands."""
        if not self.stale:
            return "good"
        return "stale" if self.flows else "broken"

    @property
    def said(self) -> tuple[Problem, ...]:
        """All that is to be said about the file."""
        return (*self.problems, *self.clashes)


class Turned(Struct, frozen=True):
    """What reading the folder again changed; `pages` are those of which there is something new."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    pages: tuple[Page, ...]
    rows: tuple[FlowFile, ...]

    @property
    def anything(self) -> bool:
        """Whether other flows serve now than before."""
        return bool(self.added or self.changed or self.removed)


class Book:
    """All flow files. A file that does not load keeps its last good version, over restarts too.

    Only deleting the file, or the flow in it, removes a flow. A conflict between two files is a
    problem of the one that changed last. `given` are texts beside the folder, by name; they are
    not kept.
    """

    def __init__(
        self,
        folder: Path,
        loading: Loading,
        kept: Iterable[FlowFile] = (),
    ) -> None:
        self.folder = folder
        self.loading = loading
        self.given: dict[str, str] = {}
        self.pages: Mapping[str, Page] = {}
        self._kept = {row.path: row.text for row in kept if row.text is not None}

    @property
    def flows(self) -> list[Flow]:
        """The flows that serve, in order of their files."""
        return [flow for _, page in sorted(self.pages.items()) for flow in page.flows]

    @property
    def problems(self) -> list[Problem]:
        """Everything that is wrong in the files now."""
        return [problem for _, page in sorted(self.pages.items()) for problem in page.said]

    def read(self, *, every: bool = False) -> Turned:
        """Read what changed since the last time (all of it with `every`: settings may have).

        May run beside readers of `pages`, which see all of it at once.
        """
        before = self.pages
        same: dict[str, Page] = {}
        fresh: dict[str, Page] = {}
        texts: list[tuple[str, Signature | None, str, Loaded]] = []
        for path, file in self._files().items():
            page, signature = before.get(path), _signature(file)
            if page is not None and not (every or page.stale) and page.signature == signature:
                same[path] = page
            elif (read := self._load(path, file)) is not None:  # else it is gone since
                texts.append((path, signature, *read))
        for path, text in self.given.items():
            texts.append((path, None, text, load_text(text, path, self.loading)))
        for path, signature, text, loaded in texts:
            page = before.get(path)
            if loaded.failed:
                same[path] = self._fall_back(path, signature, loaded.problems, page)
            else:
                flows = _same(loaded.flows, page)
                fresh[path] = Page(path, signature, text, flows, loaded.problems)
        self.pages = self._fitted(same, fresh, before)
        return self._turned(before)

    def _files(self) -> dict[str, Path]:
        if not self.folder.is_dir():
            return {}
        return {path.relative_to(self.folder).as_posix(): path for path in flow_files(self.folder)}

    def _load(self, path: str, file: Path) -> tuple[str, Loaded] | None:
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            message = f"the file cannot be read: {error.strerror}; mend its permissions"
            return "", Loaded(path, (), (Problem(Place(path, 1, 1), message),))
        return content.decode("utf-8-sig", "replace"), load_bytes(content, path, self.loading)

    def _fall_back(
        self,
        path: str,
        signature: Signature | None,
        problems: tuple[Problem, ...],
        before: Page | None,
    ) -> Page:
        """The page of a file whose text cannot serve: what served last goes on."""
        good = self._kept.get(path)
        flows: tuple[Flow, ...] = ()
        if before is not None:
            flows = before.flows
        elif good is not None:
            flows = load_text(good, path, self.loading).flows
        return Page(path, signature, good, flows, problems, stale=True)

    def _fitted(
        self, same: dict[str, Page], fresh: dict[str, Page], before: Mapping[str, Page]
    ) -> dict[str, Page]:
        """All pages together; a fresh one that conflicts with an older one falls back."""
        # After a start everything is fresh: what served before the stop is older than what did not.
        order = sorted(fresh, key=lambda path: fresh[path].good != self._kept.get(path))
        while True:
            pages = {**same, **{path: fresh[path] for path in order}}
            clashes: dict[str, list[Problem]] = {}
            for problem in conflicts(Loaded(p.path, p.flows, ()) for p in pages.values()):
                clashes.setdefault(problem.place.file, []).append(problem)
            worst = next((path for path in order if _fails(clashes.get(path, ()))), None)
            if worst is None:
                return {
                    path: replace(page, clashes=tuple(clashes.get(path, ())))
                    if clashes.get(path) or page.clashes
                    else page
                    for path, page in pages.items()
                }
            order.remove(worst)
            problems = (*fresh[worst].problems, *clashes[worst])
            signature = fresh[worst].signature
            same[worst] = self._fall_back(worst, signature, problems, before.get(worst))

    def _turned(self, before: Mapping[str, Page]) -> Turned:
        old = {flow.name: flow for page in before.values() for flow in page.flows}
        new = {flow.name: flow for flow in self.flows}
        rows = [
            FlowFile(path, page.good)
            for path, page in self.pages.items()
            if page.good is not None
            and path not in self.given
            and self._kept.get(path) != page.good
        ]
        rows += [FlowFile(path, None) for path in self._kept if path not in self.pages]
        for row in rows:
            if row.text is None:
                del self._kept[row.path]
            else:
                self._kept[row.path] = row.text
        return Turned(
            added=tuple(sorted(new.keys() - old.keys())),
            changed=tuple(
                sorted(name for name in new.keys() & old.keys() if new[name] is not old[name])
            ),
            removed=tuple(sorted(old.keys() - new.keys())),
            pages=tuple(page for path, page in self.pages.items() if _news(before.get(path), page)),
            rows=tuple(rows),
        )


def _same(flows: tuple[Flow, ...], before: Page | None) -> tuple[Flow, ...]:
    """The very objects of flows that did not change, so that their sources are not touched."""
    old = {} if before is None else {flow.name: flow for flow in before.flows}
    return tuple(old[flow.name] if _is_same(old.get(flow.name), flow) else flow for flow in flows)


def _is_same(old: Flow | None, new: Flow) -> bool:
    return old is not None and old.version == new.version and old.document == new.document


def _fails(problems: Iterable[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _news(old: Page | None, new: Page) -> bool:
    if old is None:
        return bool(new.said)
    return old is not new and (old.said != new.said or old.state != new.state)


def _signature(file: Path) -> Signature | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
