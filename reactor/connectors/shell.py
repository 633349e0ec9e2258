"""Commands on this machine."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec

from reactor.errors import ActionFailed
from reactor.plugin.context import ActionContext
from reactor.plugin.process import Ended, clean_environment, run_program
from reactor.plugin.spec import Complaint, Config, action, doc
from reactor.units import Size, parse_size

Scalar = str | int | float | bool

_NOT_FOUND, _NOT_RUN = 127, 126  # as shells say it
_LONGEST_REASON = 200
_DATA_IN_SCRIPT = (
    'data may not be part of a script (a tag named "; rm -rf ~" would run): '
    'shell: {args: [deploy, "${{ event.body.tag }}"]}, or '
    'shell: {run: \'deploy "$TAG"\', env: {TAG: "${{ event.body.tag }}"}}'
)


class Shell(Config, frozen=True):
    """A command with its arguments, or a script."""

    args: Annotated[
        list[Scalar] | None,
        doc("The program and its arguments.", ["df", "-h"], strict=True, authored=True),
    ] = None
    run: Annotated[
        str | None,
        doc(
            "A script for bash -euo pipefail (sh -eu where there is no bash).",
            'df -h | grep "$DISK"',
            form="literal",
            hint=_DATA_IN_SCRIPT,
        ),
    ] = None
    cwd: Annotated[
        str | None, doc("The folder to run in; relative paths start at the flows' base.", "/srv")
    ] = None
    env: Annotated[
        dict[str, Scalar | None],
        doc("Variables beside PATH, HOME, LANG, TMPDIR and REACTOR_EVENT_FILE.", {"DISK": "sda"}),
    ] = msgspec.field(default_factory=dict)
    stdin: Annotated[
        Any, doc("What the command reads: text or bytes; lists and maps come as JSON.", "hello")
    ] = None
    max_output: Annotated[
        Size, doc("How much of stdout and of stderr is kept.", "4MiB", form="literal")
    ] = parse_size("1MiB")


class Ran(TypedDict):
    """How a command ended."""

    exit: Annotated[int, doc("The exit code; 128 + the signal's number if one ended it.", 0)]
    stdout: Annotated[str, doc("What it printed.")]
    stderr: Annotated[str, doc("What it printed as errors.")]
    json: Annotated[Any, doc("stdout read as JSON, null if it is none.")]
    truncated: Annotated[bool, doc("Whether there was more output than max_output.", False)]


def _complaints(written: Mapping[str, Any]) -> Iterable[Complaint]:
    """What is wrong with a command as written, beyond types."""
    if written.get("args") == []:
        yield ("args",), "args names at least a program: args: [df, -h]"


@action(
    "shell",
    examples=[
        "shell: {args: [df, -h]}",
        "shell: {run: 'df -h | grep \"$DISK\"', env: {DISK: '${{ event.body.disk }}'}}",
    ],
    one_of=[("args", "run")],
    check=_complaints,
    every_failure_transient=True,
)
async def shell(config: Shell, context: ActionContext) -> Ran:
    """Run a command and wait for it to end.

    It runs in a process group of its own, which is killed when the command ends, times out or is
    cancelled. The event is a JSON file at `$REACTOR_EVENT_FILE`. An exit code other than 0 fails
    the step. An argument from data that begins with `-` is refused unless a literal part stands
    before it.
    """
    args = _arguments(config, context)
    cwd = Path(context.files.base, config.cwd or "")
    async with _event_file(context.event) as event_file:
        try:
            ended = await run_program(
                args,
                cwd=str(cwd),
                env=clean_environment(_variables(config.env, event_file)),
                stdin=_bytes(config.stdin),
                max_output=config.max_output,
            )
        except (OSError, ValueError) as error:
            raise _not_started(error, args[0], cwd) from error
    if ended.exit != 0:
        raise _failed(f"{_name(config, args)} ended with exit code {ended.exit}", ended)
    return _ran(ended)


def _arguments(config: Shell, context: ActionContext) -> list[str]:
    if (config.args is None) == (config.run is None) or config.args == []:
        raise ActionFailed("shell takes either args or run", kind="type")
    if config.run is not None:
        path = clean_environment({})["PATH"]
        bash = shutil.which("bash", path=path)
        return (
            ["sh", "-euc", config.run]
            if bash is None
            else [bash, "-euo", "pipefail", "-c", config.run]
        )
    args = config.args or []
    for index, each in enumerate(args):
        written = context.authored.get(f"args.{index}", "")
        if isinstance(each, str) and each.startswith("-") and not written:
            raise ActionFailed(
                f"args.{index}: {each[:40]!r} comes from data and would be read as an option: "
                "write a literal part before it, such as --by=${{ … }}",
                kind="denied",
            )
    return [_text(each) for each in args]


def _variables(env: Mapping[str, Scalar | None], event_file: Path) -> dict[str, str]:
    given = {name: _text(value) for name, value in env.items() if value is not None}
    return {"REACTOR_EVENT_FILE": str(event_file), **given}


@asynccontextmanager
async def _event_file(event: Mapping[str, Any]) -> AsyncIterator[Path]:
    """A file that only this user can read, with the event as JSON."""
    path = await asyncio.to_thread(_write_event, event)
    try:
        yield path
    finally:
        with suppress(FileNotFoundError):
            path.unlink()


def _write_event(event: Mapping[str, Any]) -> Path:
    content = msgspec.json.encode(dict(event), enc_hook=str)
    handle, path = tempfile.mkstemp(prefix="reactor-event-", suffix=".json")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return Path(path)


def _bytes(value: Any) -> bytes:
    if value is None or isinstance(value, bytes):
        return value or b""
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ran(ended: Ended) -> Ran:
    value = None
    with suppress(msgspec.DecodeError):
        value = None if ended.truncated else msgspec.json.decode(ended.stdout)
    return Ran(
        exit=ended.exit,
        stdout=ended.stdout.decode(errors="replace"),
        stderr=ended.stderr.decode(errors="replace"),
        json=value,
        truncated=ended.truncated,
    )


def _not_started(error: OSError | ValueError, program: str, cwd: Path) -> ActionFailed:
    reason = getattr(error, "strerror", None) or str(error)
    message = f"{program!r} cannot be run: {reason}"
    if isinstance(error, FileNotFoundError) and not cwd.is_dir():
        message = f"cwd: no folder {cwd}"
    code = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_RUN
    return _failed(message, Ended(code, b"", b"", truncated=False))


def _failed(message: str, ended: Ended) -> ActionFailed:
    ran = _ran(ended)
    lines = ran["stderr"].strip().splitlines()
    reason = f": {lines[-1][:_LONGEST_REASON]}" if lines else ""
    return ActionFailed(
        message + reason,
        kind="exit",
        transient=True,
        output={name: ran[name] for name in ("exit", "stdout", "stderr", "truncated")},
    )


def _name(config: Shell, args: list[str]) -> str:
    return "the script" if config.args is None else repr(Path(args[0]).name)
