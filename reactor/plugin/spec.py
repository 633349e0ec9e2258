"""How a source or an action is declared: one function with a typed config."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_type_hints

import msgspec
from msgspec import Struct

Complaint = tuple[tuple[str | int, ...], str]


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every config: what stands under a source's or an action's key."""


class Fields(Struct, frozen=True, kw_only=True):
    """The base of what a source brings beside `event.data`; each field with `doc()`."""


class Outlet(Struct, frozen=True, kw_only=True):
    """A kind of connection of reactor.yaml: `connections: {main: {redis: {…}}}`.

    `probe` connects and says what answers; it raises `SourceFailed` or `ActionFailed` with the
    cause in words.
    """

    kind: str
    config: Any
    summary: str
    probe: Callable[[Any], Awaitable[str]]


def doc(
    text: str,
    *examples: Any,
    form: Literal["template", "expression", "deferred", "literal"] = "template",
    strict: bool = False,
    authored: bool = False,
    hint: str | None = None,
    setting: str | None = None,
) -> msgspec.Meta:
    """What a field means, with examples, and how its text is read.

    `template`: text with `${{ }}`. `expression`: a bare expression, evaluated before the action
    runs.
    `deferred`: a bare expression or template that the action evaluates itself; the field's type is
    then
    `Expression` or `Template`. `literal`: no templates at all; `hint` says what to write instead.
    `strict`: null inside mixed text is an error (URLs, argv, paths, topics). `authored`: who wrote
    the
    beginning of the text decides what it may reach (security.md 5 and 6). `setting`: a field that
    is left out is this one of `defaults` in the settings.
    """
    extra = {"form": form, "strict": strict, "authored": authored, "hint": hint, "setting": setting}
    return msgspec.Meta(description=text, examples=list(examples) or None, extra=extra)


class Spec(Struct, frozen=True, kw_only=True):
    """A word of the language: a source or an action.

    `shorthand` is the field that a plain value stands for (`log: text`). `one_of` are groups of
    fields of which
    exactly one is given. `check` looks at a config as written (templates and all) and yields
    complaints with
    the path inside it. `transient` are the exceptions of `run` that may pass when tried again.

    Sources: `fields` declares what comes beside `event.data`; `identity` names the config fields
    that make a
    subscription (None: all of them); `match` gives (field, pattern) pairs that an event of an
    internal source
    must meet; `run` is None for internal ones. `guarantee` is said in `explain` and in the manual.
    `outside` is False where time alone makes the events, so that a test may run the source.

    Actions: `run` is None for the engine's own words; `outside` is False where nothing outside is
    touched.
    """

    word: str
    kind: Literal["source", "action"]
    config: Any
    summary: str
    run: Callable[..., Any] | None = None
    examples: tuple[str, ...] = ()
    shorthand: str | None = None
    one_of: tuple[tuple[str, ...], ...] = ()
    check: Callable[[Mapping[str, Any]], Iterable[Complaint]] | None = None
    fields: type[Fields] | None = None
    identity: tuple[str, ...] | None = None
    match: Callable[[Mapping[str, Any]], tuple[tuple[str, str], ...]] | None = None
    guarantee: str = ""
    outside: bool = True
    transient: tuple[type[BaseException], ...] = ()
    every_failure_transient: bool = False
    output: Any = None
    timeout_secs: float | None = None


def source(
    word: str,
    *,
    fields: type[Fields] = Fields,
    examples: Sequence[str],
    identity: Sequence[str] | None = None,
    one_of: Sequence[Sequence[str]] = (),
    check: Callable[[Mapping[str, Any]], Iterable[Complaint]] | None = None,
    guarantee: str = "at least once",
    shorthand: str | None = None,
    outside: bool = True,
) -> Callable[[Callable[..., Any]], Spec]:
    """Declare `async def run(config, emit, context)` as a source; it runs until cancelled."""

    def declare(function: Callable[..., Any]) -> Spec:
        return Spec(
            word=word,
            kind="source",
            config=_config_of(function),
            summary=_summary(function),
            run=function,
            examples=tuple(examples),
            shorthand=shorthand,
            one_of=tuple(tuple(group) for group in one_of),
            check=check,
            fields=fields,
            identity=None if identity is None else tuple(identity),
            guarantee=guarantee,
            outside=outside,
        )

    return declare


def action(
    word: str,
    *,
    examples: Sequence[str],
    shorthand: str | None = None,
    one_of: Sequence[Sequence[str]] = (),
    check: Callable[[Mapping[str, Any]], Iterable[Complaint]] | None = None,
    transient: tuple[type[BaseException], ...] = (),
    every_failure_transient: bool = False,
    timeout_secs: float | None = None,
) -> Callable[[Callable[..., Any]], Spec]:
    """Declare `async def run(config, context) -> result` as an action.

    A failure is raised: `ActionFailed` says everything; an exception listed in `transient` may be
    retried;
    any other fails the step for good. `timeout_secs` bounds one attempt (default 5 minutes).
    """

    def declare(function: Callable[..., Any]) -> Spec:
        return Spec(
            word=word,
            kind="action",
            config=_config_of(function),
            summary=_summary(function),
            run=function,
            examples=tuple(examples),
            shorthand=shorthand,
            one_of=tuple(tuple(group) for group in one_of),
            check=check,
            transient=transient,
            every_failure_transient=every_failure_transient,
            output=get_type_hints(function).get("return"),
            timeout_secs=timeout_secs,
        )

    return declare


def connection(kind: str) -> Callable[[Callable[[Any], Awaitable[str]]], Outlet]:
    """Declare `async def probe(config) -> str` as a kind of connection."""

    def declare(function: Callable[[Any], Awaitable[str]]) -> Outlet:
        return Outlet(
            kind=kind, config=_config_of(function), summary=_summary(function), probe=function
        )

    return declare


def _config_of(function: Callable[..., Any]) -> Any:
    first = next(iter(inspect.signature(function).parameters))
    return get_type_hints(function, include_extras=True)[first]


def _summary(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").partition("\n\n")[0].replace("\n", " ")
