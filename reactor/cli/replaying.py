"""The command that runs stored events through a flow again, or says what that would change."""

import asyncio
from typing import Any

import click

from reactor.cli.client import daemon
from reactor.cli.command import command
from reactor.cli.options import chosen
from reactor.cli.output import Progress, one_line, paint, print_json, say, when
from reactor.clock import SystemClock, instant
from reactor.errors import ReactorError
from reactor.ids import id_text
from reactor.logs import silenced

_DECISIONS = ("started", "held", "stopped", "duplicate", "busy", "refused", "error")


@command(
    "replay",
    "reactor replay --flow invoice --since 24h --dry-run --diff",
    "reactor replay --flow invoice --since 2h --decision error",
)
@click.option("--flow", required=True, metavar="NAME", help="The flow that takes them.")
@click.option("--since", required=True, metavar="WHEN",
              help="Events since then: 24h, or 2026-01-31T08:00:00Z.")  # fmt: skip
@click.option("--decision", type=click.Choice(_DECISIONS), help="Only those that it decided so.")
@click.option("--dry-run", is_flag=True, help="Only say what would come out; no daemon is needed.")
@click.option("--diff", is_flag=True, help="With --dry-run: only what would come out otherwise.")
def replay(flow: str, since: str, decision: str | None, dry_run: bool, diff: bool) -> int:  # noqa: FBT001
    """Run stored events through a flow again.

    Each is a new event, which has event.replay_of, and goes to this flow alone. With --dry-run the
    flow is taken as it stands in the flows folder and nothing outside is touched: its steps give
    what they gave then.
    """
    from reactor.cli.reading import read_flow, read_loading
    from reactor.store.looking import look
    from reactor.testing.past import past
    from reactor.web.admin.choosing import since as since_ms

    found, loading = read_flow(flow), read_loading()
    clock = SystemClock()
    with look(chosen().state) as stored:
        events = asyncio.run(
            past(stored, found, loading, since_ms=since_ms(since, clock), decision=decision)
        )
        state = asyncio.run(stored.state_values(clock.now_ms()))
    if dry_run or diff:
        return _rehearse(found, events, loading, state, only_changed=diff)
    return _run(flow, events)


def _rehearse(
    flow: Any, events: list[Any], loading: Any, state: list[Any], *, only_changed: bool
) -> int:
    from reactor.testing.replaying import replay as replayed

    with silenced():  # how the flow fails is in what is printed
        found = asyncio.run(replayed(flow, events, loading, state=state))
    changed = [one for one in found if one.changes]
    for one in changed if only_changed else found:
        if chosen().json:
            print_json(_as_json(one))
        else:
            _print(one, diff=only_changed)
    if not chosen().json:
        count = len(found)
        said = f"{len(changed)} of {count} event{'s' * (count != 1)} would come out otherwise"
        say(said if count else "no event of this flow is stored since then")
    return 0


def _run(flow: str, events: list[Any]) -> int:
    client = daemon()
    failed = 0
    with Progress("replaying") as progress:
        for count, one in enumerate(events, 1):
            event = id_text("evt", one.event.id)
            try:
                receipt = client.post("events", event, "replay", body={"flow": flow})
            except ReactorError as error:
                failed += 1
                click.echo(f"{event}: {error}", err=True)
                continue
            finally:
                progress.at(count, len(events))
            if chosen().json:
                print_json({"replay_of": event, **receipt})
            else:
                started = ", ".join(each["execution"] for each in receipt["executions"])
                say(f"{event}  {started or 'started nothing'}")
    if not events and not chosen().json:
        say("no event of this flow is stored since then")
    return ReactorError.exit_code if failed else 0


def _as_json(one: Any) -> dict[str, Any]:
    event = one.before.event
    return {
        "event": id_text("evt", event.id),
        "received": instant(event.received_ms).isoformat().replace("+00:00", "Z"),
        "before": {
            "decision": one.before.decision,
            "states": [story.state for story in one.before.stories],
        },
        "after": {
            "decision": one.decision,
            "reason": one.reason,
            "states": [story.state for story in one.stories],
            "made_up": list(one.made_up),
        },
        "changes": list(one.changes),
    }


def _print(one: Any, *, diff: bool) -> None:
    event = one.before.event
    states = ", ".join(story.state for story in one.stories)
    word = paint(one.decision or "not heard") + (f", {paint(states)}" if states else "")
    reason = f": {one_line(one.reason)}" if one.reason and not diff else ""
    moment = when(instant(event.received_ms).isoformat().replace("+00:00", "Z"))
    say(f"{id_text('evt', event.id)}  {moment}  {word}{reason}")
    for change in one.changes:
        say(f"    {one_line(change)}")
    if one.made_up and one.changes:
        say(f"    (what {', '.join(one.made_up)} gives is made up)")
