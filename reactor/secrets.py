"""Secrets: where their values come from, and how they are kept out of everything that is shown."""

import asyncio
import base64
import json
import logging
import re
import stat
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
from msgspec import Struct

from reactor.clock import Clock
from reactor.errors import NotFound

MASK = "***"
SHORTEST_MASKED = 6
# Values that rotate for months must not slow every line down: the oldest are forgotten first.
MOST_MASKED = 1000

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_LARGEST_BYTES = 1 << 20
_KEEP_FAILURE_SECS = 15.0
_AHEAD_SECS = 10.0
# What a frozen program sets for itself; a child of another make would load the wrong libraries.
_FROZEN = re.compile(r"_PYI_.*|_MEIPASS2?|LD_LIBRARY_PATH")


class Secret:
    """A value that does not show itself: only `reveal()` gives the text."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The real text, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK


class Redactor:
    """Puts `***` in place of every secret value it has learned, in each form it may take.

    Forms: as it is, base64 (wherever in the encoded bytes it begins), URL-quoted, JSON-escaped.
    Values under 6 characters are not searched for. While nothing was learned it costs nothing.
    """

    def __init__(self) -> None:
        self._forms_of: dict[str, frozenset[str]] = {}
        self._too_short: set[str] = set()
        self._forms: tuple[str, ...] = ()
        self._in_bytes: tuple[bytes, ...] = ()
        self._in_json: tuple[bytes, ...] = ()

    def learn(self, name: str, value: str) -> None:
        """Mask this value from now on; an older value of the same name stays masked too."""
        if value in self._forms_of:
            return
        if len(value) < SHORTEST_MASKED:
            if name not in self._too_short:
                self._too_short.add(name)
                _LOG.warning(
                    "a secret is too short to be masked", extra={"secret": name, "least": 6}
                )
            return
        self._forms_of[value] = frozenset(_forms(value))
        if len(self._forms_of) > MOST_MASKED:
            del self._forms_of[next(iter(self._forms_of))]
        # Longest first, so that no form leaves the rest of a longer one behind.
        every = sorted(frozenset().union(*self._forms_of.values()), key=lambda f: (-len(f), f))
        self._forms = tuple(every)
        self._in_bytes = tuple(form.encode() for form in every)
        self._in_json = tuple(dict.fromkeys(_as_json(form) for form in every))

    def redact_text(self, text: str) -> str:
        """The text without any known secret."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def redact(self, value: Any) -> Any:
        """The same value without any known secret: in texts, bytes, keys, lists and maps.

        A struct that holds one becomes a map.
        """
        if not self._forms or not self._may_hold(value):
            return value
        return self._walk(value)

    def _may_hold(self, value: Any) -> bool:
        """Whether a walk is worth it: one search of the whole instead of one per text."""
        if isinstance(value, bytes):
            return True
        try:
            whole = msgspec.json.encode(value)
        except (TypeError, ValueError, RecursionError):
            return True
        return any(form in whole for form in self._in_json)

    def _walk(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.redact_text(value)
        if isinstance(value, bytes):
            for form in self._in_bytes:
                value = value.replace(form, MASK.encode())
            return value
        if isinstance(value, Mapping):
            return {self._walk(key): self._walk(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._walk(inner) for inner in value]
        if isinstance(value, tuple):
            return tuple(self._walk(inner) for inner in value)
        if isinstance(value, Struct):
            return self._walk(msgspec.structs.asdict(value))
        return value


class Command(Struct, frozen=True, kw_only=True):
    """A program that prints the secret whose name is its last argument."""

    args: tuple[str, ...]
    timeout_secs: float = 10.0
    keep_secs: float = 60.0


class Secrets:
    """Finds secrets by name: systemd credentials, a folder, listed variables, a command.

    The first place that has the name counts. Files are read again when they change, so a rotated
    secret is used without a restart. Every value found is taught to the redactor.
    """

    def __init__(
        self,
        *,
        redactor: Redactor,
        clock: Clock,
        environ: Mapping[str, str],
        folder: Path | None = None,
        variables: Iterable[str] = (),
        command: Command | None = None,
    ) -> None:
        self._redactor = redactor
        self._clock = clock
        self._environ = environ
        credentials = environ.get("CREDENTIALS_DIRECTORY")
        self._credentials = Path(credentials) if credentials else None
        self._folder = folder
        self._variables = frozenset(variables)
        self._command = command if command is not None and command.args else None
        self._files: dict[Path, tuple[tuple[int, ...], str]] = {}
        self._answers: dict[str, tuple[float, str | NotFound]] = {}

    def __repr__(self) -> str:
        return f"Secrets(folder={self._folder})"

    def get(self, name: str) -> str:
        """The value of a secret.

        Raises `NotFound`, which says where it looked, also for a value that is empty or unreadable:
        no later place may answer for a broken one. Blocks while the command runs; `prepare` first.
        """
        if not _NAME.fullmatch(name):
            raise NotFound(f"{name!r} is no name of a secret: letters, digits, _ . and - only")
        value = self._at_hand(name)
        if value is None and self._command is not None:
            value = self._answer(self._command, name)
        if value is None:
            raise NotFound(f"secret {name!r} is nowhere: {self._remedy(name)}")
        self._redactor.learn(name, value)
        return value

    async def prepare(self, names: Iterable[str]) -> None:
        """Run the command, off the event loop, for names that only it can answer.

        An answer whose time is nearly over is renewed, so that `get` never waits where this is
        called every few seconds. What fails is left for `get` to say.
        """
        if self._command is None:
            return
        for name in names:
            with suppress(NotFound):
                if _NAME.fullmatch(name) and self._at_hand(name) is None:
                    await asyncio.to_thread(self._answer, self._command, name, _AHEAD_SECS)

    def _at_hand(self, name: str) -> str | None:
        if self._credentials is not None:
            value = self._read(self._credentials / name, warn=False)
            if value is not None:
                return value
        if self._folder is not None:
            value = self._read(self._folder / name, warn=True)
            if value is not None:
                return value
        for variable in (name, name.upper()):
            if variable in self._variables and variable in self._environ:
                return _filled(self._environ[variable], name, f"variable {variable}")
        return None

    def _read(self, path: Path, *, warn: bool) -> str | None:
        """What a file holds, without its last newline; None if there is no such file."""
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                return None
            signature = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
            known = self._files.get(path)
            if known is not None and known[0] == signature:
                return known[1]
            if status.st_size > _LARGEST_BYTES:
                raise NotFound(f"secret {path.name!r}: {path} is larger than 1 MiB")
            text = path.read_bytes().decode()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            reason = error.strerror or str(error)
            raise NotFound(f"secret {path.name!r}: cannot read {path}: {reason}") from error
        except UnicodeDecodeError as error:
            raise NotFound(f"secret {path.name!r}: {path} is not UTF-8 text") from error
        if warn and status.st_mode & 0o077:
            _LOG.warning(
                "others may read a secret; chmod 600 the file",
                extra={"file": str(path), "mode": oct(stat.S_IMODE(status.st_mode))},
            )
        value = _filled(_without_newline(text), path.name, str(path))
        self._files[path] = (signature, value)
        return value

    def _answer(self, command: Command, name: str, ahead_secs: float = 0.0) -> str:
        """What the command says, kept for a while; a failure too, so that `get` need not wait."""
        now = self._clock.monotonic_secs()
        until, answer = self._answers.get(name, (now, ""))
        if now >= until - ahead_secs:
            try:
                answer, keep_secs = _ask(command, name, self._environ), command.keep_secs
            except NotFound as error:
                answer, keep_secs = error, _KEEP_FAILURE_SECS
            self._answers[name] = (self._clock.monotonic_secs() + keep_secs, answer)
        if isinstance(answer, NotFound):
            raise NotFound(str(answer)) from answer
        return answer

    def _remedy(self, name: str) -> str:
        looked = [str(place / name) for place in (self._credentials, self._folder) if place]
        variable = name if name in self._variables else name.upper()
        if variable in self._variables:
            looked.append(f"variable {variable}")
        folder = self._folder or Path("secrets")
        return (
            f"looked for {', '.join(looked) or 'it in no place, none is set'}; write it to "
            f"{folder / name}, or list a variable {name.upper()} under secrets.env"
        )


def _ask(command: Command, name: str, environ: Mapping[str, str]) -> str:
    program = command.args[0]
    try:
        done = subprocess.run(  # noqa: S603 -- the operator's own command, no shell
            [*command.args, name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=command.timeout_secs,
            env=_environment_of_a_child(environ),
            check=False,
        )
        text = done.stdout.decode()
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotFound(f"secret {name!r}: {program} (secrets.exec) failed: {error}") from error
    except UnicodeDecodeError as error:
        raise NotFound(f"secret {name!r}: {program} printed no UTF-8 text") from error
    if done.returncode != 0:
        # What it printed stays out of the message: it may be half a secret.
        raise NotFound(
            f"secret {name!r}: {program} (secrets.exec) ended with {done.returncode}; "
            "run it by hand to see why"
        )
    return _filled(_without_newline(text), name, f"the output of {program}")


def _filled(value: str, name: str, where: str) -> str:
    # An empty secret would verify every signature made with an empty key.
    if not value:
        raise NotFound(f"secret {name!r}: {where} is empty")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise NotFound(f"secret {name!r}: {where} is not UTF-8 text")
    return value


def _without_newline(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _environment_of_a_child(environ: Mapping[str, str]) -> dict[str, str]:
    child = {name: value for name, value in environ.items() if not _FROZEN.fullmatch(name)}
    original = child.pop("LD_LIBRARY_PATH_ORIG", None)
    if original:
        child["LD_LIBRARY_PATH"] = original
    return child


def _forms(value: str) -> Iterable[str]:
    yield value
    for line in value.splitlines():
        # A key of many lines is often shown line by line.
        if len(line) >= 2 * SHORTEST_MASKED and not line.startswith("-----"):
            yield line
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    raw = value.encode()
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield quoted
        yield re.sub("%..", lambda escape: escape[0].lower(), quoted)
    for before in range(3):
        # Letters that other bytes have a part in are left out; the last one may end the text.
        begin = (0, 2, 3)[before]
        encoded = base64.b64encode(bytes(before) + raw).decode()
        whole = encoded[begin : (before + len(raw)) * 8 // 6]
        for text in (whole, encoded[begin:].rstrip("=")):
            yield text
            yield text.replace("+", "-").replace("/", "_")


def _as_json(form: str) -> bytes:
    return msgspec.json.encode(form)[1:-1]
