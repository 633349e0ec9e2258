"""Tries the connections of reactor.yaml, and says in words what is wrong with them."""

import asyncio
from collections.abc import Callable, Iterable

from reactor.errors import ReactorError
from reactor.plugin.catalog import Catalog
from reactor.plugin.context import Connection
from reactor.plugin.decode import decode
from reactor.web.admin.wire import Check

PROBE_SECS = 5.0


async def probe_all(
    wanted: Iterable[tuple[str, str]],
    find: Callable[[str, str | None], Connection],
    catalog: Catalog,
) -> list[Check]:
    """One check for each (name, kind) that can be tried, all at once."""
    tries = [_probe(name, kind, find, catalog) for name, kind in wanted]
    return [check for check in await asyncio.gather(*tries) if check is not None]


async def _probe(
    name: str, kind: str, find: Callable[[str, str | None], Connection], catalog: Catalog
) -> Check | None:
    outlet = catalog.outlet(kind)
    if outlet is None:
        return None
    try:
        async with asyncio.timeout(PROBE_SECS):
            config = decode(find(kind, name).config, outlet.config)
            detail = await outlet.probe(config)
    except TimeoutError:
        return Check(
            check=f"connection {name}",
            state="failed",
            detail=f"it does not answer within {PROBE_SECS:g} s",
        )
    except ReactorError as error:
        return Check(check=f"connection {name}", state="failed", detail=str(error))
    return Check(check=f"connection {name}", state="ok", detail=detail)
