"""The daemon: every room put together, started, reloaded, drained. The composition root."""

import asyncio
import gc
import logging
import os
import sys

import uvloop

from reactor.daemon.serving import Daemon
from reactor.errors import ReactorError
from reactor.failpoints import arm
from reactor.logs import configure
from reactor.secrets import Redactor
from reactor.settings import Settings

__all__ = ["run"]


def run(settings: Settings) -> int:
    """Serve until a signal ends it; the exit code (0 clean, 74 storage, 78 config, else 1)."""
    redactor = Redactor()
    journal = os.environ.get("JOURNAL_STREAM")
    logs = settings.logs
    with configure(logs.format, logs.level, redactor, sys.stderr, journal_stream=journal) as output:
        # Nearly all garbage goes by reference counts; the collector's walks would cost a tenth of
        # the throughput and are made rare.
        gc.set_threshold(50_000, 20, 100)
        # The thread that waits for the disk is answered at once, not when a busy loop gives way.
        sys.setswitchinterval(0.0005)
        failpoints = os.environ.get("REACTOR_FAILPOINTS", "")
        daemon = Daemon(settings, redactor, os.environ, say=output.say)
        try:
            arm(failpoints)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(daemon.serve())
        except ReactorError as error:
            facts = {"error": str(error)}
            log = logging.getLogger("reactor.daemon")
            log.critical("the daemon cannot go on", extra=facts)
            return error.exit_code
    return 0
