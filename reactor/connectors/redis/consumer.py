"""The name under which this daemon takes from streams and lists: its own, kept for ever."""

from reactor.plugin.context import SourceContext

_PLACE = "consumer"


async def consumer(context: SourceContext) -> str:
    """The daemon's name for this source, made at its first start.

    What it took and has not acknowledged stands under this name at the server.
    """
    known = (await context.places()).get(_PLACE)
    if isinstance(known, str):
        return known
    name = f"reactor-{round(context.chance() * 16**12):012x}"
    await context.keep({_PLACE: name})
    return name
