"""One life of the daemon: open, recover, serve, reload, drain, close."""

import asyncio
import gc
import logging
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from socket import socket
from typing import Any

from reactor import __version__
from reactor.clock import Clock, SystemClock
from reactor.daemon.book import Book
from reactor.daemon.control import DaemonControl
from reactor.daemon.entrance import Plate, is_loopback, make_listener, shown_address
from reactor.daemon.outside import Connections, Opened, find_secrets, named_secrets
from reactor.daemon.served import Served
from reactor.daemon.sources import Sources, SourceWorld, wait_until
from reactor.daemon.trying import curl_line
from reactor.daemon.upkeep import Upkeep
from reactor.engine.aftermath import Say, log_line
from reactor.engine.core import Engine, Outside
from reactor.engine.intake import Limits
from reactor.engine.meter import watch_lag
from reactor.engine.supervisor import Supervisor
from reactor.errors import ReactorError, StorageFailed
from reactor.failpoints import reach
from reactor.loading.load import Loading, load_document
from reactor.loading.watch import Snapshot, snapshot, watch
from reactor.plugin.catalog import Catalog
from reactor.plugin.context import Files, Network
from reactor.plugin.dropin import load_plugins
from reactor.plugin.spec import Spec
from reactor.secrets import Redactor
from reactor.settings import Settings
from reactor.store.sqlite import SqliteStore, open_sqlite
from reactor.systemd import Systemd
from reactor.web.admin.server import api_socket, serve_api
from reactor.web.listener import Listener
from reactor.web.routes import PathTable

DRAIN_SECS = 30.0  # what running steps have to end
CLOSE_SECS = 5.0  # what connections and sources have, after that
TICK_SECS = 1.0
BEGUN_SECS = 2.0  # READY waits for sources to be up, but not for a broker that is down


class Daemon:
    """Everything that runs, as long as it runs.

    `specs` are actions and sources beside the built-in ones and the plugins.
    """

    def __init__(
        self,
        settings: Settings,
        redactor: Redactor,
        environ: Mapping[str, str],
        *,
        specs: Iterable[Spec] = (),
        say: Say = log_line,
    ) -> None:
        self.settings = settings
        self.clock: Clock = SystemClock()
        self.redactor = redactor
        self.started_ms = self.clock.now_ms()
        self.listen: str | None = None
        self.ready = False
        self.stopping = asyncio.Event()
        self.failure: ReactorError | None = None
        self.secrets = find_secrets(settings, redactor, self.clock, environ)
        self.connections = Connections(settings.connections, self.secrets)
        self.store: SqliteStore
        self.engine: Engine
        self.served: Served
        self.sources: Sources
        self.supervisor: Supervisor
        self._listener: Listener
        self._environ = environ
        self._specs = tuple(specs)
        self._say = say
        self._wake = asyncio.Event()
        self._opening: asyncio.Task[Any] | None = None
        self._reloads: set[asyncio.Task[None]] = set()
        self._notifier = Systemd(environ, self.clock)
        self._plate = Plate(settings.state)
        self._log = logging.getLogger("reactor.daemon")

    async def serve(self) -> None:
        """Serve until a signal ends it, or what `failure` says: that is raised."""
        self._listen_to_signals()
        for problem in self.settings.warnings:
            self._log.warning(str(problem))
        async with self.serving():
            self._show_a_try()
            # What is there now stays: the collector need not walk it again and again.
            gc.freeze()
            await self.stopping.wait()
        if self.failure is not None:
            raise self.failure
        self._log.info("stopped")

    def _show_a_try(self) -> None:
        scheme = "http" if self.settings.server.tls.cert is None else "https"
        flows = self.engine.intake.router.flows.values()
        line = curl_line(flows, self.listen or "", scheme=scheme)
        if line is not None:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Open and serve inside, drain and close at the end."""
        async with AsyncExitStack() as stack:
            await self._open(stack)
            with self._gives_up():
                await self._begin(stack)
            try:
                yield
            finally:
                await self._drain()

    # ---- opening

    @contextmanager
    def _gives_up(self) -> Iterator[None]:
        """Stop opening when the store fails: what waits for a commit would wait for ever."""
        self._opening = opening = asyncio.current_task()
        try:
            yield
        except asyncio.CancelledError:
            if self.failure is None or opening is None:
                raise
            opening.uncancel()
            raise self.failure from None
        finally:
            self._opening = None

    async def _open(self, stack: AsyncExitStack) -> None:
        settings = self.settings
        catalog = Catalog([*load_plugins(settings.plugins.dir), *self._specs])
        loading = Loading(
            catalog=catalog,
            defaults=settings.defaults_for_flows(),
            env=frozenset(settings.env),
        )
        self.store = await open_sqlite(
            settings.state,
            on_failure=self._storage_failed,
            clock=self.clock,
            unwanted_rows=settings.keep.unwanted,
            failpoint=reach,
        )
        stack.push_async_callback(self._close_store)
        self._plate.take_off()
        stack.callback(self._plate.take_off)
        opened = Opened()
        stack.push_async_callback(opened.close)
        outside = Outside(
            clock=self.clock,
            chance=random.random,
            catalog=catalog,
            compile_flow=lambda version: load_document(version.document, loading),
            env={name: self._environ[name] for name in settings.env if name in self._environ},
            secret=self.secrets.get,
            redact=self.redactor.redact,
            network=Network(allow=settings.net.allow),
            files=Files(
                base=str(settings.flows.absolute().parent),
                flows=str(settings.flows.absolute()),
                roots=tuple(str(root.absolute()) for root in settings.files.roots),
            ),
            shared=opened,
            connection=self.connections.find,
            rate=self.connections.rate,
            limits=Limits(min_free=settings.store.min_free),
            say=self._say,
            keep_unwanted=settings.keep.unwanted,
        )
        self.engine = Engine(self.store, outside, changed=self._wake.set)
        self.store.observe(self.engine.meter.commits.observe)
        self.store.when_stalled(self.engine.intake.stall)
        files = await self.store.files()
        book = Book(settings.flows, loading, files)
        paused = frozenset(await self.store.meta("paused") or ())
        self.served = Served(book, self.engine, self.store, paused, prepare=self._prepare_secrets)
        self.supervisor = await stack.enter_async_context(
            Supervisor(
                clock=self.clock,
                chance=random.random,
                wait=asyncio.sleep,
                redact=self.redactor.redact_text,
            )
        )

    async def _begin(self, stack: AsyncExitStack) -> None:
        settings = self.settings
        routes = PathTable(lambda: self.ready)
        self._listener = make_listener(settings, routes, self.clock)
        seen = await asyncio.to_thread(snapshot, settings.flows)
        # The limit of an execution that must run alone at boot is one of the timers.
        self._keep_up(stack, "timers", self._turn_timers)
        stack.push_async_callback(self.engine.stop, limit_secs=0)
        found = await self.served.begin()
        if found:
            self._log.info("took up what the last run left open", extra={"executions": found})
        host, port = await self._listener.start()
        stack.callback(self._listener.close)
        self.listen = shown_address(host, port)
        world = SourceWorld(
            clock=self.clock,
            catalog=self.engine.outside.catalog,
            store=self.store,
            shared=self.engine.outside.shared,
            secret=self.secrets.get,
            env=self.engine.outside.env,
            connection=self.connections.find,
            routes=routes.owned_by,
            files=self.engine.outside.files,
            network=self.engine.outside.network,
            emit=self.engine.emitter,
            wait_until=lambda ms: wait_until(self.clock, ms, asyncio.sleep),
            chance=random.random,
            allow_unauthenticated=settings.server.allow_unauthenticated,
            listens_on_loopback=is_loopback(host),
        )
        self.sources = Sources(world, self.supervisor)
        await self.sources.follow(self.engine.intake.router)
        listening = stack.enter_context(api_socket(settings.state))
        await self.supervisor.begun(BEGUN_SECS)
        self._say_ready()
        self._stay_up(stack, seen, listening)

    def _stay_up(self, stack: AsyncExitStack, seen: Snapshot, listening: socket) -> None:
        control, history, clock = DaemonControl(self), self.store.history, self.clock
        api = partial(serve_api, listening, control, history, clock, version=__version__)
        self._keep_up(stack, "api", api)
        upkeep = Upkeep(self.engine, self.settings, renew=self._renew_secrets)
        flows = self.settings.flows
        self._keep_up(stack, "upkeep", lambda: upkeep.run(asyncio.sleep))
        self._keep_up(stack, "watch", lambda: watch(flows, self._reload_soon, seen=seen))
        self._keep_up(stack, "lag", lambda: watch_lag(self.engine.meter, self.clock, asyncio.sleep))
        self._keep_up(stack, "watchdog", self._feed_watchdog)

    def _keep_up(
        self, stack: AsyncExitStack, name: str, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Work until the stack unwinds; if it ends before, the daemon does."""
        task = asyncio.create_task(work(), name=name)
        task.add_done_callback(self._ended)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        stack.push_async_callback(end)

    def _say_ready(self) -> None:
        self._plate.hang(self.listen or "")
        self.ready = True
        flows = len(self.engine.intake.router.flows)
        self._log.info("ready", extra={"listen": self.listen, "flows": flows})
        self._notifier.ready(f"{flows} flows, listening on {self.listen}")
        self.engine.emit_startup()

    # ---- while it runs

    async def reload(self, *, every: bool = False) -> None:
        """Read the flows folder again and serve what it says; unchanged flows are not touched."""
        await self.served.reload(self.sources, every=every)

    async def pause(self, paused: frozenset[str]) -> None:
        """Pause exactly these flows; kept over restarts, on disk when it returns."""
        await self.served.pause(self.sources, paused)

    async def _renew_secrets(self) -> None:
        await self._prepare_secrets()
        self.sources.renew()

    async def _prepare_secrets(self) -> None:
        """Have the answers of `secrets.exec` at hand: the event loop does not wait for it."""
        names = named_secrets(self.served.book.flows, self.settings)
        await self.secrets.prepare(sorted(names))

    def _reload_soon(self, *, every: bool = False) -> None:
        task = asyncio.get_running_loop().create_task(self._reload_told(every=every), name="reload")
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)
        task.add_done_callback(self._ended_badly)

    async def _reload_told(self, *, every: bool) -> None:
        if self.stopping.is_set():
            return
        self._notifier.reloading()
        try:
            await self.reload(every=every)
        finally:
            flows = len(self.engine.intake.router.flows)
            self._notifier.ready(f"{flows} flows, listening on {self.listen}")

    async def _turn_timers(self) -> None:
        while True:
            self._wake.clear()
            self.engine.turn()
            secs = self.engine.next_turn_secs()
            try:
                async with asyncio.timeout(TICK_SECS if secs is None else min(secs, TICK_SECS)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _feed_watchdog(self) -> None:
        every_secs = self._notifier.watchdog_secs
        while True:
            await asyncio.sleep(every_secs or 3600.0)
            self._notifier.watchdog()

    # ---- ending

    async def _drain(self) -> None:
        """Take nothing new, let running steps end; the bound holds whatever they do."""
        self.ready = False
        self._notifier.stopping()
        if isinstance(self.failure, StorageFailed):
            return
        self._log.info("draining")
        reach("the drain begins")
        # From here on requests are answered 503 and sources wait in `emit`.
        self.engine.intake.open = False
        try:
            async with asyncio.timeout(DRAIN_SECS + CLOSE_SECS):
                await self.engine.stop(limit_secs=DRAIN_SECS)
                await self._listener.drain(CLOSE_SECS)
                await self.supervisor.close()
        except TimeoutError:
            self._log.error("not everything ended in time; the next start takes it up")
        reach("nothing runs any more")

    async def _close_store(self) -> None:
        if not isinstance(self.failure, StorageFailed):
            await self.store.close(clean=True)

    def _storage_failed(self, error: StorageFailed) -> None:
        """Whether the last commit is on disk is unknown: stop now, the next start knows."""
        self.failure = error
        self.stopping.set()
        if self._opening is not None:
            self._opening.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ended_badly(task)
        if not task.cancelled():
            self.failure = self.failure or ReactorError(f"{task.get_name()} ended: see above")
            self.stopping.set()

    def _ended_badly(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            facts = {"part": task.get_name()}
            self._log.critical("a part of the daemon died", exc_info=error, extra=facts)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._reload_soon(every=True))

    def _stop(self) -> None:
        if self.stopping.is_set():
            os._exit(1)  # a second signal: exit now, the store knows how to recover
        self.stopping.set()
