"""One life of the daemon: open, recover, serve, reload, drain, close."""

import asyncio
import logging
import os
import random
import signal
import ssl
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any

from reactor import __version__
from reactor.clock import Clock, SystemClock
from reactor.daemon.book import Book, Turned
from reactor.daemon.control import DaemonControl
from reactor.daemon.outside import Connections, Opened
from reactor.daemon.sources import Sources, SourceWorld
from reactor.daemon.upkeep import Upkeep
from reactor.engine.core import Engine, Outside
from reactor.engine.intake import Limits
from reactor.engine.meter import watch_lag
from reactor.engine.supervisor import Supervisor
from reactor.errors import BadConfig, StorageFailed
from reactor.loading.load import Loading, load_document
from reactor.loading.watch import Snapshot, snapshot, watch
from reactor.plugin.catalog import Catalog
from reactor.plugin.context import Files, Network
from reactor.plugin.dropin import load_plugins
from reactor.problem import render_text
from reactor.secrets import Command, Redactor, Secrets
from reactor.settings import Settings, split_address
from reactor.store import Write
from reactor.store.sqlite import SqliteStore, open_sqlite
from reactor.systemd import Systemd
from reactor.web.admin.server import serve_api
from reactor.web.listener import Listener
from reactor.web.reading import Limits as ListenerLimits
from reactor.web.routes import PathTable

DRAIN_SECS = 30.0
TICK_SECS = 1.0


class Daemon:
    """Everything that runs, as long as it runs."""

    def __init__(self, settings: Settings, redactor: Redactor, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self.clock: Clock = SystemClock()
        self.redactor = redactor
        self.started_ms = self.clock.now_ms()
        self.listen: str | None = None
        self.ready = False
        self.stopping = asyncio.Event()
        self.failure: StorageFailed | None = None
        self._environ = environ
        self._wake = asyncio.Event()
        self._turning = asyncio.Lock()
        self._notifier = Systemd(environ, self.clock)
        self._log = logging.getLogger("reactor.daemon")
        command = settings.secrets.exec
        self.secrets = Secrets(
            redactor=redactor,
            clock=self.clock,
            environ=environ,
            folder=settings.secrets.dir,
            variables=settings.secrets.env,
            command=Command(
                args=command.args,
                timeout_secs=command.timeout,
                keep_secs=command.keep,
            ),
        )
        self.connections = Connections(settings.connections, self.secrets)
        self.store: SqliteStore
        self.engine: Engine
        self.book: Book
        self.sources: Sources
        self.supervisor: Supervisor
        self.catalog: Catalog
        self.paused: frozenset[str] = frozenset()
        self._seen: Snapshot = {}

    async def serve(self) -> int:
        """Serve until a signal or a failed disk ends it; the exit code."""
        self._listen_to_signals()
        for problem in self.settings.warnings:
            self._log.warning(str(problem))
        async with AsyncExitStack() as stack:
            await self._open(stack)
            await self._begin(stack)
            await self.stopping.wait()
            await self._drain()
        if self.failure is not None:
            raise self.failure
        self._log.info("stopped")
        return 0

    # ---- opening

    async def _open(self, stack: AsyncExitStack) -> None:
        settings = self.settings
        self.catalog = Catalog(load_plugins(settings.plugins.dir))
        env = {name: self._environ[name] for name in settings.env if name in self._environ}
        loading = Loading(
            catalog=self.catalog,
            defaults=settings.defaults_for_flows(),
            env=frozenset(settings.env),
        )
        self.store = await open_sqlite(
            settings.state,
            on_failure=self._storage_failed,
            clock=self.clock,
            unwanted_rows=settings.keep.unwanted,
        )
        stack.push_async_callback(self._close_store)
        opened = Opened()
        stack.push_async_callback(opened.close)
        outside = Outside(
            clock=self.clock,
            chance=random.random,
            catalog=self.catalog,
            compile_flow=lambda version: load_document(version.document, loading),
            env=env,
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
            limits=Limits(min_free=settings.store.min_free),
            keep_unwanted=settings.keep.unwanted,
        )
        self.engine = Engine(self.store, outside, changed=self._wake.set)
        self.book = Book(settings.flows, loading, await self.store.files())
        self.paused = frozenset(await self.store.meta("paused") or ())
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
        host, port = split_address(settings.server.listen)
        listener = Listener(
            routes,
            self.clock,
            host=host,
            port=port,
            tls=_tls(settings),
            trusted_proxies=settings.server.trusted_proxies,
            limits=ListenerLimits(connections=settings.server.max_connections),
        )
        self._listener = listener
        self._seen = snapshot(settings.flows)
        turned = self.book.read()
        self._tell(turned)
        self.store.submit(Write(files=list(turned.rows)))
        found = await self.engine.start(self.book.flows, paused=self.paused)
        if found:
            self._log.info("took up what the last run left open", extra={"executions": found})
        at, bound = await listener.start()
        stack.callback(listener.close)
        self.listen = f"[{at}]:{bound}" if ":" in at else f"{at}:{bound}"
        self.sources = Sources(
            SourceWorld(
                clock=self.clock,
                catalog=self.catalog,
                store=self.store,
                shared=self.engine.outside.shared,
                secret=self.secrets.get,
                env=self.engine.outside.env,
                connection=self.connections.find,
                routes=routes.owned_by,
                emit=self.engine.emitter,
                allow_unauthenticated=settings.server.allow_unauthenticated,
                listens_on_loopback=_is_loopback(at),
            ),
            self.supervisor,
        )
        await self.sources.follow(self.engine.intake.router)
        control = DaemonControl(self)
        api = serve_api(
            control, self.store.history, self.clock, settings.state, version=__version__
        )
        await stack.enter_async_context(api)
        self._stay_up(stack)
        await self._say_ready()

    def _stay_up(self, stack: AsyncExitStack) -> None:
        seen = self._seen
        upkeep = Upkeep(self.engine, self.settings)
        works: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]] = [
            ("timers", self._turn_timers),
            ("upkeep", lambda: upkeep.run(asyncio.sleep)),
            ("watch", lambda: watch(self.settings.flows, self._changed, seen=seen)),
            ("lag", lambda: watch_lag(self.engine.meter, self.clock, asyncio.sleep)),
            ("watchdog", self._feed_watchdog),
        ]
        tasks = [asyncio.create_task(work(), name=name) for name, work in works]
        for task in tasks:
            task.add_done_callback(self._ended)

        async def end() -> None:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        stack.push_async_callback(end)

    async def _say_ready(self) -> None:
        (self.settings.state / "listen").write_text(f"{self.listen}\n")
        self.ready = True
        flows = len(self.engine.intake.router.flows)
        self._log.info("ready", extra={"listen": self.listen, "flows": flows})
        self._notifier.ready(f"{flows} flows, listening on {self.listen}")
        self.engine.emit_startup()

    # ---- while it runs

    async def reload(self, *, every: bool = False) -> Turned:
        """Read the flows folder again and serve what it says; unchanged flows are not touched."""
        async with self._turning:
            turned = await asyncio.to_thread(self.book.read, every=every)
            self._tell(turned)
            if turned.rows:
                self.store.submit(Write(files=list(turned.rows)))
            if turned.anything:
                await self.serve_flows()
            return turned

    async def serve_flows(self) -> None:
        """Swap the router for one of the book's flows and let the sources follow."""
        self.engine.serve(self.book.flows, paused=self.paused)
        await self.sources.follow(self.engine.intake.router)

    async def set_paused(self, paused: frozenset[str]) -> None:
        """Pause exactly these flows; kept over restarts."""
        self.paused = paused
        self.store.submit(Write(meta=[("paused", sorted(paused))]))
        await self.serve_flows()

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
        every = self._notifier.watchdog_secs
        while True:
            await asyncio.sleep(every or 3600.0)
            self._notifier.watchdog()

    def _changed(self) -> None:
        self._reloading = asyncio.get_running_loop().create_task(self._reload_quietly())

    async def _reload_quietly(self) -> None:
        self._notifier.reloading()
        await self.reload()
        self._notifier.ready(f"listening on {self.listen}")

    def _tell(self, turned: Turned) -> None:
        for problem in turned.problems:
            level = logging.ERROR if problem.severity == "error" else logging.WARNING
            if problem.severity != "note":
                self._log.log(level, "%s", render_text(problem))
        for page in self.book.pages.values():
            if page.state == "stale":
                facts = {"file": page.path}
                self._log.error("the last good version of a flow file keeps running", extra=facts)
        if turned.anything:
            changes = {
                "added": list(turned.added),
                "changed": list(turned.changed),
                "removed": list(turned.removed),
            }
            self._log.info("flows loaded", extra=changes)

    # ---- ending

    async def _drain(self) -> None:
        self.ready = False
        self._notifier.stopping()
        if self.failure is not None:
            return
        self._log.info("draining")
        self.engine.intake.open = False
        await self._listener.drain(5.0)
        await self.supervisor.close()
        await self.engine.stop(limit_secs=DRAIN_SECS)

    async def _close_store(self) -> None:
        if self.failure is None:
            await self.store.close(clean=True)

    def _storage_failed(self, error: StorageFailed) -> None:
        """Whether the last commit is on disk is unknown: stop now, the next start knows."""
        self.failure = error
        self.stopping.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            facts = {"part": task.get_name()}
            self._log.critical("a part of the daemon died", exc_info=error, extra=facts)
            self.stopping.set()

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._changed_all)

    def _changed_all(self) -> None:
        self._reloading_all = asyncio.get_running_loop().create_task(self.reload(every=True))

    def _stop(self) -> None:
        if self.stopping.is_set():
            os._exit(1)  # a second signal: exit now, the store knows how to recover
        self.stopping.set()


def _tls(settings: Settings) -> ssl.SSLContext | None:
    tls = settings.server.tls
    if tls.cert is None and tls.key is None:
        return None
    if tls.cert is None or tls.key is None:
        raise BadConfig("server.tls needs both cert and key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise BadConfig(f"server.tls: {tls.cert} and {tls.key} cannot be used: {error}") from error
    return context


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
