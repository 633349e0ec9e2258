"""The source `exec`: each line that a long-running program prints is an event."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from reactor.errors import SourceFailed
from reactor.model.event import Received
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.printing import printing
from reactor.plugin.process import clean_environment
from reactor.plugin.spec import Complaint, Config, Fields, doc, source

Scalar = str | int | float | bool

_LONGEST_REASON = 200


class Exec(Config, frozen=True):
    """A program and how its lines are read."""

    args: Annotated[
        list[Scalar],
        doc("The program and its arguments.", ["journalctl", "-fo", "json"], strict=True),
    ]
    cwd: Annotated[
        str | None, doc("The folder to run in; relative paths start at the flows' base.", "/srv")
    ] = None
    env: Annotated[
        dict[str, Scalar | None],
        doc("Variables beside PATH, HOME, LANG and TMPDIR.", {"TOKEN": "${{ secrets.token }}"}),
    ] = msgspec.field(default_factory=dict)
    format: Annotated[
        Literal["jsonl", "lines"], doc("Whether a line is JSON or text.", form="literal")
    ] = "jsonl"


class ExecFields(Fields, frozen=True, kw_only=True):
    """What a line brings."""

    number: Annotated[int, doc("Which line of this run of the program it is, from 1.")]


def _check(written: Mapping[str, Any]) -> Iterable[Complaint]:
    if written.get("args") == []:
        yield ("args",), "args names at least a program: args: [tail, -f, /var/log/syslog]"


@source(
    "exec",
    fields=ExecFields,
    check=_check,
    guarantee="at most once: what a program prints while nobody reads is lost; a program that "
    "knows its place is best told it by dedup",
    examples=[
        "exec: {args: [journalctl, -fo, json, -u, ssh]}",
        "exec: {args: [inotifywait, -m, /srv/drop], format: lines}",
    ],
)
async def exec_(config: Exec, emit: Emit, context: SourceContext) -> None:
    """Lines of a program that runs as long as the flow; when it ends it is started again."""
    args = [_text(each) for each in config.args]
    cwd = Path(context.files.base, config.cwd or "")
    env = {name: _text(value) for name, value in config.env.items() if value is not None}
    decode = _from_json if config.format == "jsonl" else _from_text
    try:
        async with printing(args, cwd=str(cwd), env=clean_environment(env)) as program:
            context.up(f"process {program.pid}")
            number = 0
            async for lines in program.lines():
                received = [decode(line, number + at) for at, line in enumerate(lines, 1) if line]
                number += len(lines)
                # Only now is more read: a program that is faster than the disk waits.
                if received:
                    await emit.many(received)
            code = await program.ended()
    except (OSError, ValueError) as error:
        raise _not_started(error, args[0], cwd) from error
    name = Path(args[0]).name
    last = program.complaint[:_LONGEST_REASON]
    raise SourceFailed(f"{name} ended with exit code {code}" + (f": {last}" if last else ""))


def _from_json(line: bytes, number: int) -> Received:
    fields = {"number": number}
    try:
        return Received(data=msgspec.json.decode(line), fields=fields)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return Received(data=line, fields=fields, undecodable=f"the line is no JSON: {error}")


def _from_text(line: bytes, number: int) -> Received:
    fields = {"number": number}
    try:
        return Received(data=line.decode(), fields=fields)
    except UnicodeDecodeError:
        return Received(data=line, fields=fields, undecodable="the line is not UTF-8")


def _not_started(error: OSError | ValueError, program: str, cwd: Path) -> SourceFailed:
    if isinstance(error, FileNotFoundError) and not cwd.is_dir():
        return SourceFailed(f"cwd: no folder {cwd}")
    reason = getattr(error, "strerror", None) or str(error)
    return SourceFailed(f"{program!r} cannot be run: {reason}")


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
