"""Functions of Python modules beside the flows, run in processes of their own."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec

from reactor.connectors.python.pool import open_pool
from reactor.errors import ActionFailed
from reactor.plugin.context import ActionContext
from reactor.plugin.spec import Complaint, Config, action, doc

_FUNCTION = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


class Python(Config, frozen=True, rename={"with_": "with"}):
    """A function and what it is given."""

    call: Annotated[
        str,
        doc(
            "module.function of a file beside the flows: billing.total is in billing.py.",
            "billing.total",
            form="literal",
            hint="data may not choose the function: choose between steps, or pass data in with",
        ),
    ]
    with_: Annotated[
        dict[str, Any], doc("The function's arguments by name.", {"id": "${{ event.body.id }}"})
    ] = msgspec.field(default_factory=dict)


def _complaints(written: Mapping[str, Any]) -> Iterable[Complaint]:
    """What is wrong with a call as written, beyond types."""
    call = written.get("call")
    if isinstance(call, str) and not _FUNCTION.fullmatch(call):
        yield ("call",), f"{call!r} is no module.function such as billing.total"


@action(
    "python",
    examples=["python: {call: billing.total, with: {id: '${{ event.body.id }}'}}"],
    check=_complaints,
    every_failure_transient=True,
)
async def python(config: Python, context: ActionContext) -> Any:
    """Call a function of a Python module beside the flows and wait for its result.

    The function may be async. It runs in a worker process, which is killed when the step times out
    or is cancelled; the module is read again when its file changed. Arguments and result are plain
    data: texts, numbers, lists, maps, bytes, times.
    """
    if not _FUNCTION.fullmatch(config.call):
        raise ActionFailed(f"{config.call!r} is no module.function", kind="type")
    module, _, function = config.call.rpartition(".")
    pool = await context.shared("python", open_pool)
    answer = await pool.call(
        {
            "folder": context.files.flows or context.files.base,
            "module": module,
            "function": function,
            "arguments": config.with_,
        }
    )
    if answer["printed"]:
        context.log.debug("a function printed", extra={"printed": answer["printed"]})
    if not answer["ok"]:
        raise ActionFailed(f"{config.call}: {answer['error']}", kind="python", transient=True)
    return answer["value"]
