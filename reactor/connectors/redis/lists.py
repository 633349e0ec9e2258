"""Elements of a list: moved to a list of our own, stored, and only then removed from it."""

from reactor.connectors.redis.connection import Line
from reactor.connectors.redis.consumer import consumer
from reactor.model.event import Received
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.payload import Form, read_payload

_MOST = 128
_BLOCK_SECS = 2.0
_PATIENCE_SECS = 8.0
_LAG_SECS = 5.0


async def follow_list(
    line: Line, name: str, form: Form, *, emit: Emit, context: SourceContext
) -> None:
    """Emit every element, first those that a crash left in our own list.

    A crash between the commit and the removal emits them again: a list gives its elements no
    identity.
    """
    own = f"{name}:{await consumer(context)}"
    left = await line.ask("LRANGE", own, 0, -1)
    context.up(f"list {name}")
    look_secs = 0.0
    while True:
        for start in range(0, len(left), _MOST):
            batch = left[start : start + _MOST]
            await emit.many([_received(element, name, form) for element in batch])
            await line.ask("LTRIM", own, len(batch), -1)
        if context.clock.monotonic_secs() >= look_secs:
            look_secs = context.clock.monotonic_secs() + _LAG_SECS
            context.lag(await line.ask("LLEN", name))
        left = await _take(line, name, own)


async def _take(line: Line, name: str, own: str) -> list[bytes]:
    """Move what is there, at most a batch; wait a moment where nothing is."""
    first = await line.ask(
        "BLMOVE", name, own, "LEFT", "RIGHT", _BLOCK_SECS, within_secs=_PATIENCE_SECS
    )
    if first is None:
        return []
    more = min(await line.ask("LLEN", name), _MOST - 1)
    moved = await line.ask_all([("LMOVE", name, own, "LEFT", "RIGHT")] * more) if more else []
    for reply in moved:
        if isinstance(reply, Exception):
            raise line.failed(reply) from reply
    # Another daemon may have been faster.
    return [first, *(reply for reply in moved if reply is not None)]


def _received(element: bytes, name: str, form: Form) -> Received:
    return read_payload(form, element).received({"list": name})
