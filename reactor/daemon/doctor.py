"""What usually goes wrong, looked at: each check says its remedy."""

from collections.abc import Iterable, Iterator, Mapping

from reactor.daemon.book import Page
from reactor.engine.supervisor import SourceState
from reactor.model.execution import State
from reactor.settings import Settings
from reactor.store import Pressure
from reactor.units import format_size
from reactor.web.admin.wire import Check

_RUNS = {
    "good": "it runs all the same",
    "stale": "its last good version runs",
    "broken": "nothing of it runs",
}


def checks(
    *,
    settings: Settings,
    pressure: Pressure,
    sizes: Mapping[str, int],
    counts: Mapping[str, Mapping[State, int]],
    sources: Iterable[SourceState],
    pages: Mapping[str, Page],
    repaired: int,
) -> Iterator[Check]:
    """Look at disk, store, flows, sources and open executions."""
    yield _disk(settings, pressure)
    rows = ", ".join(f"{name} {count}" for name, count in sorted(sizes.items()))
    yield Check(check="store", state="ok", detail=rows)
    yield from _flows(pages)
    yield from _sources(sources)
    opened = sum(sum(found.values()) for found in counts.values())
    yield Check(check="open executions", state="ok", detail=str(opened))
    if repaired:
        detail = f"{repaired} executions had no owner and were queued again: please report this"
        yield Check(check="reconciler", state="warning", detail=detail)


def _disk(settings: Settings, pressure: Pressure) -> Check:
    free, least = pressure.free_bytes, settings.store.min_free
    if free is None:
        return Check(check="disk", state="ok", detail="not looked at yet")
    if free < least:
        detail = f"{format_size(free)} free, intake stops below {format_size(least)}: make room"
        return Check(check="disk", state="failed", detail=detail)
    if free < 4 * least:
        detail = f"{format_size(free)} free, intake stops below {format_size(least)}"
        return Check(check="disk", state="warning", detail=detail)
    return Check(check="disk", state="ok", detail=f"{format_size(free)} free")


def _flows(pages: Mapping[str, Page]) -> Iterator[Check]:
    bad = []
    for page in pages.values():
        first = next((p for p in page.said if p.severity == "error"), None)
        if first is None:
            continue
        bad.append(page)
        what = _RUNS[page.state]
        detail = f"{first}; {what}: reactor check {page.path}"
        yield Check(check=f"flow file {page.path}", state="failed", detail=detail)
    if not bad:
        flows = sum(len(page.flows) for page in pages.values())
        yield Check(check="flow files", state="ok", detail=f"{flows} flows in {len(pages)} files")


def _sources(states: Iterable[SourceState]) -> Iterator[Check]:
    for source in states:
        if source.state == "up":
            yield Check(check=f"source {source.instance}", state="ok", detail=source.detail)
        else:
            bad = source.state in ("down", "stopped")
            yield Check(
                check=f"source {source.instance}",
                state="failed" if bad else "warning",
                detail=f"{source.state}: {source.error or source.detail or 'not up yet'}",
            )
