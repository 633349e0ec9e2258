"""The path table of the webhook listener: which answer serves a path, 404 and 405."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from msgspec import Struct

from reactor.errors import SourceFailed
from reactor.model.http import METHODS, Reply, Request, parameter_names, path_segments
from reactor.plugin.context import Answer, Respond, Route

_RESERVED = {"/healthz", "/readyz"}
_ANY = "{}"


class Served(Struct, frozen=True, eq=False, gc=False):
    """A route that is open now, who answers it, and whose it is."""

    route: Route
    answer: Answer
    owner: str
    names: tuple[str, ...]


class Place:
    """One path and what is served there, by method."""

    def __init__(self) -> None:
        self.serving: dict[str, Served] = {}
        self._open: dict[str, list[Served]] = {}

    @property
    def allow(self) -> str:
        """The value of the Allow header."""
        return ", ".join(sorted({*self.serving, "OPTIONS"}))

    def add(self, served: Served) -> None:
        """Serve the newest one of a method."""
        method = served.route.method
        before = self.serving.get(method)
        if before is not None and before.owner != served.owner:
            raise SourceFailed(
                f"{method} {served.route.path} is served by {before.owner!r} already: "
                "give one of the two another path or method"
            )
        self._open.setdefault(method, []).append(served)
        self.serving[method] = served

    def remove(self, served: Served) -> None:
        """Let the newest of those that remain serve, if any does."""
        method = served.route.method
        self._open[method].remove(served)
        if self._open[method]:
            self.serving[method] = self._open[method][-1]
        else:
            del self._open[method], self.serving[method]


class PathTable:
    """Finds what serves a path; the Protocol `Routes` for sources.

    A reload opens the new route before it closes the old one: of two routes with one method and
    path the newest serves, and closing the older one changes nothing. Two owners (`owned_by`) may
    not share a method and path. A literal segment goes before `{name}`, and the path alone decides:
    where the most literal match lacks the method the answer is 405.
    """

    def __init__(self, ready: Callable[[], bool]) -> None:
        self._exact: dict[str, Place] = {}
        self._tree = _Branch()
        for path, works in (("/healthz", _lives), ("/readyz", ready)):
            place = self._exact[path] = Place()
            for method in ("GET", "HEAD"):
                route = Route(method=method, path=path, max_body=0)
                place.add(Served(route, _says(works), "reactor", ()))

    @asynccontextmanager
    async def add(self, route: Route, answer: Answer, owner: str = "") -> AsyncIterator[None]:
        """Serve a route while the context is open."""
        served = Served(route, answer, owner, parameter_names(route.path))
        place = self._place(route)
        place.add(served)
        try:
            yield
        finally:
            place.remove(served)
            if not place.serving and self._exact.get(route.path) is place:
                del self._exact[route.path]

    def owned_by(self, owner: str) -> "OwnedRoutes":
        """The table as one source sees it: routes of another owner are not taken over."""
        return OwnedRoutes(self, owner)

    def exact(self, path: str) -> Place | None:
        """The place of a path without `{name}` segments."""
        return self._exact.get(path)

    def find(self, path: str) -> tuple[Place, tuple[str, ...]] | None:
        """The place of a decoded path, and the values of its `{name}` segments."""
        if (place := self._exact.get(path)) is not None:
            return place, ()
        return self._tree.find(path[1:].split("/"), 0)

    def _place(self, route: Route) -> Place:
        if route.method not in METHODS:
            raise SourceFailed(
                f"no method {route.method!r}: one of {', '.join(METHODS)}", fatal=True
            )
        if route.path in _RESERVED:
            raise SourceFailed(
                f"path {route.path!r} is Reactor's own health check: choose another", fatal=True
            )
        try:
            segments = path_segments(route.path)
        except ValueError as error:
            raise SourceFailed(str(error), fatal=True) from error
        if parameter_names(route.path):
            return self._tree.place([_ANY if part[:1] == "{" else part for part in segments])
        return self._exact.setdefault(route.path, Place())


class OwnedRoutes:
    """The path table in the hands of one source."""

    def __init__(self, table: PathTable, owner: str) -> None:
        self._table = table
        self._owner = owner

    def add(self, route: Route, answer: Answer) -> AbstractAsyncContextManager[None]:
        """Serve a route while the context is open."""
        return self._table.add(route, answer, self._owner)


class _Branch:
    """One segment of the paths with `{name}`, and what may follow it."""

    def __init__(self) -> None:
        self.here: Place | None = None
        self.next: dict[str, _Branch] = {}

    def place(self, segments: list[str]) -> Place:
        branch = self
        for segment in segments:
            branch = branch.next.setdefault(segment, _Branch())
        if branch.here is None:
            branch.here = Place()
        return branch.here

    def find(self, segments: list[str], depth: int) -> tuple[Place, tuple[str, ...]] | None:
        """Each branch is visited at most once, so a hostile path costs no more than the table."""
        if depth == len(segments):
            return None if self.here is None or not self.here.serving else (self.here, ())
        segment = segments[depth]
        literal = self.next.get(segment) if segment != _ANY else None
        if literal is not None and (found := literal.find(segments, depth + 1)) is not None:
            return found
        values = self.next.get(_ANY) if segment else None
        if values is not None and (found := values.find(segments, depth + 1)) is not None:
            return found[0], (segment, *found[1])
        return None


def _lives() -> bool:
    return True


def _says(works: Callable[[], bool]) -> Answer:
    def answer(request: Request, respond: Respond) -> None:
        if works():
            respond(Reply(200, b'{"status": "ok"}'))
        else:
            respond(Reply(503, b'{"status": "not ready"}', headers=(("Retry-After", "1"),)))

    return answer
