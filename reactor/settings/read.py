"""Settings from flags, environment and reactor.yaml; every mistake is reported at once."""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, get_origin
from zoneinfo import ZoneInfo

import msgspec

from reactor.errors import BadConfig
from reactor.expr.scope import Scope
from reactor.loading.configs import Meta, Walk, unknown_key
from reactor.loading.context import Context, Loading
from reactor.loading.names import Names
from reactor.loading.reading import decode_text, read_documents
from reactor.loading.report import Report
from reactor.loading.retries import read_retry
from reactor.loading.values import NOWHERE, MapValue, Scalar, Value, from_plain, inside, kind
from reactor.loading.words import RunWords
from reactor.plugin.catalog import Catalog
from reactor.plugin.spec import Complaint, doc
from reactor.problem import Place, Problem, render_text
from reactor.settings.connections import Written, check_connections, read_connections
from reactor.settings.shape import Leaf, Settings, bare_type, build, leaves, split_address
from reactor.units import Duration, Size, parse_duration, parse_size

DEFAULT_FILE = Path("reactor.yaml")
# Variables that are ours but no settings: the file itself, a child's event, the tests' own.
_OTHER_VARIABLES = frozenset(
    {
        "REACTOR_CONFIG",
        "REACTOR_DEBUG",
        "REACTOR_SECRETS",
        "REACTOR_EVENT_FILE",
        "REACTOR_FAILPOINTS",
        "REACTOR_REQUIRE_BROKERS",
    }
)
_NO_NAMES = Scope({})

Keys = Mapping[str, Leaf]


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
    path = _path(config, environ)
    report = Report(str(path or DEFAULT_FILE))
    given = [(key, value, report) for key, value in _in_file(every, path, report)]
    given += _in_environment(every, environ)
    given += [
        (key, from_plain(_plain(value)), Report(key))
        for key, value in (overrides or {}).items()
        if value is not None
    ]
    values: dict[str, Any] = {}
    for key, value, where in given:
        values[key] = _convert(every[key], value, where)
    both = [values.get(f"server.tls.{part}") is not None for part in ("cert", "key")]
    if any(both) and not all(both):
        report.error(NOWHERE, "server.tls: cert and key belong together, one is missing")
    reports = {id(where): where for where in (report, *(where for _, _, where in given))}
    problems = [problem for where in reports.values() for problem in where.problems]
    if any(problem.severity == "error" for problem in problems):
        raise BadConfig("\n".join(map(render_text, problems)), problems=tuple(problems))
    warnings = (*problems, *_unknown_variables(every, environ))
    settings: Settings = build({**values, "warnings": warnings})
    return settings


def _path(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config is None and environ.get("REACTOR_CONFIG"):
        config = Path(environ["REACTOR_CONFIG"])
    if config is None and DEFAULT_FILE.exists():
        config = DEFAULT_FILE
    return config


def _in_file(every: Keys, path: Path | None, report: Report) -> Iterator[tuple[str, Value]]:
    """What the file sets; unknown keys are reported."""
    if path is None:
        return
    try:
        text = decode_text(path.read_bytes(), report)
    except OSError as error:
        report.error(NOWHERE, f"the file cannot be read: {error.strerror or error}")
        return
    report.lines = (text or "").splitlines()
    documents = read_documents(text or "", report)
    for surplus in documents[1:]:
        report.error(surplus, "settings are one document: drop the --- above")
    if documents:
        yield from _in_section(every, documents[0], "", report)


def _in_section(
    every: Keys, value: Value, prefix: str, report: Report
) -> Iterator[tuple[str, Value]]:
    known = {
        key.removeprefix(prefix).partition(".")[0]: None for key in every if key.startswith(prefix)
    }
    where = prefix.rstrip(".") or "the settings"
    if isinstance(value, Scalar) and value.value is None:
        return
    if not isinstance(value, MapValue):
        report.error(value, f"{where} takes a map of {', '.join(known)}, not {kind(value)}")
        return
    for entry in value.entries:
        key = prefix + entry.key.text
        if key in every:
            yield key, entry.value
        elif entry.key.text in known:
            yield from _in_section(every, entry.value, f"{key}.", report)
        else:
            message, repaired = unknown_key(entry.key, list(known), where, report)
            if other := _elsewhere(every, entry.key.text):
                message, repaired = f"no key '{entry.key.text}' in {where}; it is {other}", None
            report.error(entry.key, message, repaired=repaired)


def _elsewhere(every: Keys, word: str) -> str | None:
    """The full name of a key that was written in the wrong section."""
    for key in every:
        parts = key.split(".")
        if word in parts:
            return ".".join(parts[: parts.index(word) + 1])
    return None


def _in_environment(every: Keys, environ: Mapping[str, str]) -> Iterator[tuple[str, Value, Report]]:
    """What variables set: a list has commas, a map is YAML or JSON."""
    if folder := environ.get("REACTOR_SECRETS"):
        yield "secrets.dir", from_plain(folder), Report("REACTOR_SECRETS")
    for leaf in every.values():
        text = environ.get(leaf.variable)
        if text is None:
            continue
        report = Report(leaf.variable, text)
        bare = bare_type(leaf.type)
        if get_origin(bare) is tuple:
            parts = [part.strip() for part in text.split(",")]
            yield leaf.key, from_plain([part for part in parts if part]), report
        elif bare in (str, Path, Duration, Size):
            yield leaf.key, from_plain(text), report
        else:
            documents = read_documents(text, report)
            yield leaf.key, documents[0] if documents else from_plain(None), report


def _convert(leaf: Leaf, value: Value, report: Report) -> Any:
    """The value in the type of its key; what is wrong with it is reported."""
    before = len(report.problems)
    form = Annotated[Written, doc("")] if leaf.key == "connections" else leaf.type
    plain = Walk(report, _NO_NAMES).walk(
        value, msgspec.inspect.type_info(form), Meta(leaf.key, "literal")
    )
    if len(report.problems) > before:
        return None
    try:
        converted = msgspec.convert(plain, form, dec_hook=_special)
    except msgspec.ValidationError as error:
        report.error(value, f"{leaf.key}: {error}")
        return None
    for path, message in _check(leaf.key, converted):
        report.error(inside(value, path), message)
    context = Context(Loading(catalog=Catalog()), report)
    if leaf.key == "defaults.retry" and plain is not None:
        read_retry(value, Names().with_more("error").condition(), context)
    if leaf.key == "defaults.run" and isinstance(plain, Mapping):
        context.shape(value, RunWords, "run", Names().trigger())
    if leaf.key == "connections" and len(report.problems) == before:
        return read_connections(converted)
    return converted


def _special(kind: type[Any], value: Any) -> Any:
    makers: dict[type[Any], Callable[[Any], Any]] = {
        Duration: parse_duration,
        Size: parse_size,
        Path: lambda text: Path(text).expanduser(),
    }
    return value if isinstance(value, kind) else makers[kind](value)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _check(key: str, value: Any) -> Iterator[Complaint]:
    """What is wrong with a value that has the right type."""
    match key:
        case "server.listen":
            try:
                split_address(value)
            except ValueError as error:
                yield (), f"server.listen: {error}"
        case "server.admin" if value is not None:
            yield (), "server.admin is not built yet: the API is on the socket in the state folder"
        case "server.max_connections" if value < 1:
            yield (), "server.max_connections is at least 1"
        case "keep.unwanted" if value < 0:
            yield (), "keep.unwanted is at least 0"
        case "server.trusted_proxies":
            yield from _check_networks(value)
        case "defaults.tz":
            yield from _check_zone(value)
        case "connections":
            yield from check_connections(value)


def _check_networks(networks: tuple[str, ...]) -> Iterator[Complaint]:
    for index, network in enumerate(networks):
        try:
            ip_network(network)
        except ValueError:
            yield (index,), f"{network!r} is no address or network: write 10.0.0.7 or 10.0.0.0/8"


def _check_zone(name: str) -> Iterator[Complaint]:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        yield (), f"defaults.tz: no time zone is called {name!r}: write one such as Europe/Berlin"


def _unknown_variables(every: Keys, environ: Mapping[str, str]) -> Iterator[Problem]:
    known = {leaf.variable for leaf in every.values()} | _OTHER_VARIABLES
    for name in sorted(environ):
        if name.startswith("REACTOR_") and name not in known:
            guess = get_close_matches(name, sorted(known), 1, 0.8)
            hint = f"; did you mean {guess[0]}" if guess else ""
            place = Place("environment", 1, 1)
            yield Problem(place, f"no setting has the variable {name}{hint}", severity="warning")
