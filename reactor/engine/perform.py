"""One attempt at an outside step: config decoded, action run in bounds, result made plain."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct, to_builtins

from reactor.clock import Clock
from reactor.engine.timers import Timers
from reactor.engine.turns import Act, key_path
from reactor.errors import ActionFailed, NotFound, ReactorError
from reactor.ids import id_text
from reactor.model.execution import Execution
from reactor.model.flow import Flow
from reactor.plugin.catalog import Catalog
from reactor.plugin.context import Connection, Files, Network, Shared
from reactor.plugin.decode import decode
from reactor.plugin.spec import Spec
from reactor.units import format_duration

TIMEOUT_SECS = 300.0
# A step of these kinds fails the same way again (semantics.md 17).
_FINAL_KINDS = frozenset({"type", "decode", "denied", "fail", "too_large"})
_PLAIN = (bytes, datetime)  # kept as they are


class Attempt(Struct, frozen=True, kw_only=True):
    """What an action may ask: `plugin.context.ActionContext`."""

    key: str
    flow: str
    execution: str
    step: str
    attempt: int
    clock: Clock
    log: logging.Logger
    event: Mapping[str, Any]
    network: Network
    files: Files
    authored: Mapping[str, str]
    shared: Shared
    find_connection: Callable[[str, str | None], Connection]

    def connection(self, kind: str, name: str | None) -> Connection:
        """A configured connection; without a name the only one of its kind."""
        return self.find_connection(kind, name)


class Performer:
    """Runs actions. What comes out is plain data without secrets, or an `ActionFailed`."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        clock: Clock,
        spans: Timers,
        network: Network,
        files: Files,
        shared: Shared,
        connection: Callable[[str, str | None], Connection],
        redact: Callable[[Any], Any],
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._spans = spans
        self._network = network
        self._files = files
        self._shared = shared
        self._connection = connection
        self._redact = redact
        self._log = logging.getLogger("reactor.step")

    async def perform(self, row: Execution, flow: Flow, view: Mapping[str, Any], act: Act) -> Any:
        """The result of one attempt or the `ActionFailed` it ended with; raises if cancelled."""
        spec = self._catalog.find("action", act.step.action)
        if spec is None or spec.run is None:
            return ActionFailed(f"no action is called {act.step.action!r}", kind="type")
        try:
            context = self._context(row, view, act)
            short = spec.shorthand is not None and not isinstance(act.config, dict)
            config = decode({spec.shorthand: act.config} if short else act.config, spec.config)
        except ReactorError as error:
            return ActionFailed(self._redact(str(error)), kind="type")
        limit = act.timeout_secs or spec.timeout_secs or TIMEOUT_SECS
        return await self._bounded(spec, spec.run(config, context), limit)

    async def _bounded(self, spec: Spec, work: Awaitable[Any], limit: float) -> Any:
        task = asyncio.current_task()
        late = False

        def end() -> None:
            nonlocal late
            late = True
            if task is not None:
                task.cancel()

        timer = self._spans.after(limit, end)
        try:
            result = await work
            return self._redact(to_builtins(result, builtin_types=_PLAIN))
        except asyncio.CancelledError:
            if not late:
                raise
            if task is not None:
                task.uncancel()
            message = f"the attempt took longer than {format_duration(limit)}"
            return ActionFailed(message, kind="timeout", transient=True)
        except ActionFailed as error:
            return self._clean(error, spec)
        except Exception as error:  # noqa: BLE001 - an action's own mistake is its failure
            return self._translate(error, spec)
        finally:
            timer.cancel()

    def _clean(self, error: ActionFailed, spec: Spec) -> ActionFailed:
        return ActionFailed(
            self._redact(str(error)),
            kind=error.kind,
            status=error.status,
            transient=error.transient
            or (spec.every_failure_transient and error.kind not in _FINAL_KINDS),
            after_secs=error.after_secs,
            output=self._redact(to_builtins(error.output, builtin_types=_PLAIN)),
        )

    def _translate(self, error: Exception, spec: Spec) -> ActionFailed:
        transient = spec.every_failure_transient or isinstance(error, spec.transient)
        kind = "type" if isinstance(error, NotFound | TypeError | ValueError) else "failed"
        text = str(error) or type(error).__name__
        self._log.debug("action raised", exc_info=error, extra={"action": spec.word})
        return ActionFailed(self._redact(text), kind=kind, transient=transient)

    def _context(self, row: Execution, view: Mapping[str, Any], act: Act) -> Attempt:
        return Attempt(
            key=f"{id_text('exe', row.root)}:{key_path(act.path)}",
            flow=row.flow,
            execution=id_text("exe", row.id),
            step=act.step.id,
            attempt=act.attempt,
            clock=self._clock,
            log=self._log,
            event=view,
            network=self._network,
            files=self._files,
            authored=act.authored,
            shared=self._shared,
            find_connection=self._connection,
        )
