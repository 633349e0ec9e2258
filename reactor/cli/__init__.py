"""The command line: one short function per command, one file per family."""

from reactor.cli.entry import main

__all__ = ["main"]
