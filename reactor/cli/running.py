"""`run`: the daemon itself."""

import os
from typing import Any

import click

from reactor.cli.command import command
from reactor.cli.options import chosen


@command("run", "reactor run", "reactor run --listen 0.0.0.0:8787 --flows /etc/reactor/flows")
@click.option("--listen", metavar="HOST:PORT", help="Where webhooks are heard; port 0: any free.")
@click.option("--secrets", metavar="DIR", help="The folder of secrets.  [default: ./secrets]")
@click.option("--admin", metavar="HOST:PORT", hidden=True)
def run(listen: str | None, secrets: str | None, admin: str | None) -> int:
    """Run the daemon until SIGTERM or Ctrl-C."""
    if admin is not None:
        raise click.UsageError("--admin: not built yet; the API is on the Unix socket")
    from reactor import daemon
    from reactor.settings import load_settings

    common = chosen()
    overrides: dict[str, Any] = {"server.listen": listen, "secrets.dir": secrets}
    overrides |= {name: str(getattr(common, name)) for name in ("flows", "state")}
    settings = load_settings(
        config=common.config,
        environ=os.environ,
        overrides={name: value for name, value in overrides.items() if value is not None},
    )
    return daemon.run(settings)
