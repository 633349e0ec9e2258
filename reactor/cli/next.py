"""The command that says when schedules are due, without a daemon."""

from datetime import UTC, datetime
from typing import Any

import click

from reactor.cli.command import command
from reactor.cli.options import chosen
from reactor.cli.output import print_json, print_table, when
from reactor.clock import SystemClock, instant
from reactor.errors import InvalidFlow, UsageError

_MOST = 1000


@command("next", "reactor next", "reactor next --flow backup --count 10 --after 2026-03-28")
@click.option("--flow", metavar="NAME", help="The schedules of one flow.")
@click.option("--count", type=click.IntRange(1, _MOST), default=5, metavar="N",
              help="How many times of each schedule.  [default: 5]")  # fmt: skip
@click.option("--after", metavar="TIME", help="Times after this one, not after now.")
def next_(flow: str | None, count: int, after: str | None) -> int:
    """Say when the schedules of the flows folder are due next.

    Jitter, pauses and what was missed do not count.
    """
    from reactor.cli.reading import read_files, read_flow

    since = _moment(after)
    if flow is not None:
        flows, broken = [read_flow(flow)], []
    else:
        loaded = read_files([chosen().flows])
        flows = [each for one in loaded for each in one.flows]
        broken = [one.file for one in loaded if one.failed]
    rows = sorted((row for each in flows for row in _rows(each, since, count)), key=_order)
    if chosen().json:
        for _, name, trigger, due in rows:
            print_json({"flow": name, "trigger": trigger, "due": due})
    else:
        print_table(("flow", "trigger", "due"), ((*names, when(due)) for _, *names, due in rows))
    for file in broken:
        click.echo(f"{file} does not load: `reactor check` says why", err=True)
    return InvalidFlow.exit_code if broken else 0


def _rows(flow: Any, since: datetime, count: int) -> list[tuple[datetime, str, str, str]]:
    from reactor.connectors.schedule.source import Schedule, calendar_of
    from reactor.plugin.decode import decode

    found = []
    for trigger in flow.triggers if flow.enabled else ():
        if trigger.source != "schedule":
            continue
        calendar = calendar_of(decode(trigger.config.render({}), Schedule))
        due = calendar.after(since)
        for _ in range(count):
            if due is None:
                break
            local = due.astimezone(calendar.zone).isoformat().replace("+00:00", "Z")
            found.append((due, flow.name, trigger.id, local))
            due = calendar.after(due)
    return found


def _order(row: tuple[datetime, str, str, str]) -> tuple[datetime, str, str]:
    return row[:3]


def _moment(text: str | None) -> datetime:
    if text is None:
        return instant(SystemClock().now_ms())
    try:
        moment = datetime.fromisoformat(text)
        # A time without a zone is this machine's.
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--after {text!r} is no time: such as 2026-03-28 or 2026-03-28T12:00:00Z"
        ) from None
