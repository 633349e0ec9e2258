"""Settings from flags, environment and reactor.yaml; every mistake is reported at once."""

from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo

from reactor.errors import BadConfig
from reactor.plugin.spec import Complaint
from reactor.problem import Place, Problem, render_text
from reactor.settings.connections import check_connections, read_connections
from reactor.settings.document import Document, Found, nearest
from reactor.settings.shape import Leaf, Settings, build, leaves, split_address, without_none
from reactor.units import Duration, Size, parse_duration, parse_size

DEFAULT_FILE = Path("reactor.yaml")
# Variables that are ours but no settings: the file itself, a child's event, the tests' own.
_OTHER_VARIABLES = frozenset(
    {"REACTOR_CONFIG", "REACTOR_SECRETS", "REACTOR_EVENT_FILE", "REACTOR_REQUIRE_BROKERS"}
)
_RETRY_KEYS = ("max", "delay", "factor", "max_delay", "jitter", "within", "only_if", "unless")
_RUN_KEYS = ("mode", "max", "key", "on_fail", "timeout")
_MODES = ("parallel", "queue", "single", "restart", "latest")


def load_settings(
    *,
    config: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings: a flag beats the environment, that beats the file, that beats the default.

    `overrides` are flags by dotted key (`server.listen`); None means not given. Without `config`
    the file is `$REACTOR_CONFIG`, else ./reactor.yaml if there is one. Relative paths start in the
    working directory. Raises `BadConfig` with all problems.
    """
    every = {leaf.key: leaf for leaf in leaves()}
    problems: list[Problem] = []

    def complain(place: Place, message: str) -> None:
        problems.append(Problem(place=place, message=message))

    document = _open(config, environ, problems)
    values = _converted(every, document.settings(every), document.complain)
    values |= _converted(every, _from_environment(every, environ, complain), complain)
    values |= _converted(every, _from_flags(overrides or {}), complain)
    if ("server.tls.cert" in values) != ("server.tls.key" in values):
        complain(Place(document.name, 1, 1), "server.tls: cert and key belong together: write both")
    if problems:
        raise BadConfig("\n".join(map(render_text, problems)), problems=tuple(problems))
    settings: Settings = build({**values, "warnings": tuple(_unknown_variables(every, environ))})
    return settings


def _open(config: Path | None, environ: Mapping[str, str], problems: list[Problem]) -> Document:
    named = config or (Path(environ["REACTOR_CONFIG"]) if environ.get("REACTOR_CONFIG") else None)
    path = named or DEFAULT_FILE
    text = ""
    try:
        if named is not None or path.exists():
            text = path.read_text("utf-8")
    except OSError as error:
        problems.append(_at(str(path), f"cannot be read: {error.strerror or error}"))
    except UnicodeDecodeError:
        problems.append(_at(str(path), "is not UTF-8 text"))
    return Document(str(path), text, problems)


def _from_environment(
    every: Mapping[str, Leaf],
    environ: Mapping[str, str],
    complain: Callable[[Place, str], None],
) -> dict[str, Found]:
    found = {}
    if "REACTOR_SECRETS" in environ:
        found["secrets.dir"] = _found("REACTOR_SECRETS", environ["REACTOR_SECRETS"])
    for leaf in every.values():
        text = environ.get(leaf.variable)
        if text is None:
            continue
        problems: list[Problem] = []
        found[leaf.key] = _found(leaf.variable, _from_text(leaf, text, problems))
        for problem in problems:
            complain(Place(leaf.variable, 1, 1), problem.message)
    return found


def _from_text(leaf: Leaf, text: str, problems: list[Problem]) -> Any:
    """What the text of a variable means: a list has commas, a map is YAML or JSON."""
    kind = without_none(leaf.type)
    if get_origin(kind) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind in (str, Path, Duration, Size) or get_origin(kind) is Literal:
        return text
    return Document(leaf.variable, text, problems).value()


def _from_flags(overrides: Mapping[str, Any]) -> dict[str, Found]:
    return {key: _found(key, value) for key, value in overrides.items() if value is not None}


def _converted(
    every: Mapping[str, Leaf],
    found: Mapping[str, Found],
    complain: Callable[[Place, str], None],
) -> dict[str, Any]:
    """The given values in the types of their keys; those that do not fit become problems."""
    values: dict[str, Any] = {}
    for key, one in found.items():
        try:
            value = convert(every[key].type, one.value)
        except ValueError as error:
            complain(one.place(()), f"{key}: {error}")
            continue
        complaints = list(_check(key, value))
        for path, message in complaints:
            complain(one.place(path), message)
        if not complaints:
            values[key] = read_connections(value) if key == "connections" else value
    return values


def convert(kind: Any, value: Any) -> Any:
    """The value in the type of its key; ValueError with the remedy."""
    bare = without_none(kind)
    if value is None and bare is not kind:
        return None
    if bare is Duration:
        return parse_duration(value)
    if bare is Size:
        return parse_size(value)
    if bare is Path:
        return _path(value)
    if bare is bool or bare is int:
        return _exactly(bare, value)
    if bare is str:
        return _text(value)
    if get_origin(bare) is Literal:
        return _one_of(get_args(bare), value)
    if get_origin(bare) is tuple:
        return _list(get_args(bare)[0], value)
    return value


def _path(value: Any) -> Path:
    if isinstance(value, Path):
        return value
    if not _text(value):
        raise ValueError("a path is not empty")
    return Path(value).expanduser()


def _exactly(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        words = "true or false" if kind is bool else "a number"
        raise ValueError(f"{value!r} is not {words}")
    if kind is int and value < 0:
        raise ValueError(f"{value} is below zero")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text: quote it")  # noqa: TRY004 -- a user's mistake
    return value


def _one_of(words: tuple[Any, ...], value: Any) -> Any:
    if value not in words:
        known = ", ".join(words)
        raise ValueError(f"{value!r} is none of {known}{nearest(str(value), words)}")
    return value


def _list(kind: Any, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{value!r} is no list: write [{value}]")  # noqa: TRY004 -- same
    return tuple(convert(kind, item) for item in value)


def _check(key: str, value: Any) -> Iterator[Complaint]:
    """What is wrong with a value that has the right type."""
    try:
        match key:
            case "server.listen":
                split_address(value)
            case "server.admin" if value is not None:
                yield (), "server.admin is not built yet: the API is on the socket in `state`"
            case "server.max_connections" if value < 1:
                yield (), "server.max_connections: at least 1"
            case "server.trusted_proxies":
                for index, network in enumerate(value):
                    yield from _check_network(network, index)
            case "defaults.tz":
                yield from _check_zone(value)
            case "defaults.retry" | "defaults.run":
                yield from _check_words(key, value)
            case "connections":
                yield from check_connections(value)
    except ValueError as error:
        yield (), f"{key}: {error}"


def _check_network(network: str, index: int) -> Iterator[Complaint]:
    try:
        ip_network(network)
    except ValueError:
        yield (index,), f"{network!r} is no address or network: write 10.0.0.7 or 10.0.0.0/8"


def _check_zone(name: str) -> Iterator[Complaint]:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        yield (), f"defaults.tz: no time zone is called {name!r}: write one such as Europe/Berlin"


def _check_words(key: str, value: Any) -> Iterator[Complaint]:
    """The keys of `retry` and `run`; what they mean is checked where flows are loaded."""
    known = _RETRY_KEYS if key == "defaults.retry" else _RUN_KEYS
    if key == "defaults.retry" and type(value) is int and value >= 0:
        return
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield (), f"{key}: {value!r} is no map of {', '.join(known)}"
        return
    for word, inner in value.items():
        if word not in known:
            yield (word,), f"{key}: unknown key {word!r}{nearest(word, known)}"
        elif word in ("delay", "max_delay", "within", "timeout"):
            try:
                parse_duration(inner)
            except ValueError as error:
                yield (word,), f"{key}.{word}: {error}"
        elif word == "mode" and inner not in _MODES:
            hint = nearest(str(inner), _MODES)
            yield (word,), f"{key}.mode: {inner!r} is none of {', '.join(_MODES)}{hint}"


def _unknown_variables(every: Mapping[str, Leaf], environ: Mapping[str, str]) -> Iterator[Problem]:
    known = {leaf.variable for leaf in every.values()} | _OTHER_VARIABLES
    for name in sorted(environ):
        if name.startswith("REACTOR_") and name not in known:
            message = f"no setting is called {name}{nearest(name, known)}"
            yield Problem(place=Place("environment", 1, 1), message=message, severity="warning")


def _found(name: str, value: Any) -> Found:
    return Found(value, {(): Place(name, 1, 1)})


def _at(file: str, message: str) -> Problem:
    return Problem(place=Place(file, 1, 1), message=message)
