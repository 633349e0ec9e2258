"""The engine's own actions: log, vars, set, map, emit, reply, fail, stop. All inside."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from reactor.engine.state import SharedState, detached
from reactor.engine.turns import key_path
from reactor.errors import ActionFailed
from reactor.expr.parse import Expression
from reactor.expr.template import Template
from reactor.expr.values import kind, to_key, to_text
from reactor.model.event import Received
from reactor.model.flow import Flow
from reactor.store import StateValue, Write
from reactor.store.hearing import Wait

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class LogLine(Struct, frozen=True, gc=False):
    """A line that a flow wrote; it leaves after the commit."""

    step: str
    level: int
    text: str


class Calling(Struct, frozen=True, gc=False):
    """A flow that is called: the number its execution gets, and the one that waits for its end."""

    flow: str
    execution: int
    parent: int | None


class Emission(Struct, frozen=True, gc=False):
    """An event that a flow emitted; it is accepted in the commit of the step's record.

    `call` sends it to one flow alone.
    """

    id: int
    instance: str
    received: Received
    call: Calling | None = None


class Replied(Struct, frozen=True, gc=False):
    """The answer that a flow gave to a waiting request."""

    reply: Mapping[str, Any]


class Stopped(Struct, frozen=True, gc=False):
    """`stop`: the flow ends here as ok."""

    reason: str


class Stage(Struct):
    """What the words of one execution act on, and what they leave for the next commit.

    `execution`, `flow` and `created_ms` are its own. `cancels` are executions that it called and
    needs no more.
    """

    shared: SharedState
    new_id: Callable[[], int]
    root: int
    depth: int
    event: int
    execution: int
    flow: Flow
    created_ms: int
    lines: list[LogLine] = []
    states: list[StateValue] = []
    emissions: list[Emission] = []
    reply: Replied | None = None
    waits: list[Wait] = []
    unwaits: list[Wait] = []
    cancels: list[int] = []

    def pour(self, write: Write) -> None:
        """Put what began or ended to wait, and what is cancelled, into a write."""
        write.waits += self.waits
        write.unwaits += self.unwaits
        self.waits, self.unwaits = [], []


Word = Callable[[Any, dict[str, Any], str, Stage, int], Any]


def _log(config: Any, names: dict[str, Any], path: str, stage: Stage, now_ms: int) -> Any:
    level = "info"
    if isinstance(config, dict):
        level, config = config.get("level", "info"), config.get("text")
    text = config if isinstance(config, str) else to_text(config)
    stage.lines.append(LogLine(path, LEVELS.get(level, 20), text))
    return text


def _vars(config: Any, names: dict[str, Any], path: str, stage: Stage, now_ms: int) -> Any:
    return config  # the machine gives the names their values


def _set(config: Any, names: dict[str, Any], path: str, stage: Stage, now_ms: int) -> Any:
    latest = {**names, "state": stage.shared.latest}
    values = []
    for name, entry in config.items():
        key, rule = entry.get("key"), entry["value"]
        key_text = "" if key is None else to_key(key.evaluate(latest))
        if key is not None and not key_text:
            message = f"set: the key of {name} is empty"
            raise ActionFailed(message, kind="type")
        value = rule.evaluate(latest) if isinstance(rule, Expression) else rule.render(latest)
        if "state" in rule.roots:
            value = detached(value)
        ttl = entry.get("ttl")
        until_ms = None if ttl is None else now_ms + round(ttl * 1000)
        values.append(StateValue(name, key_text or "", value, until_ms))
    for value in values:
        stage.states += stage.shared.decide(value)
    if len(values) == 1:
        return values[0].value
    return {value.name: value.value for value in values}


def _map(config: Any, names: dict[str, Any], path: str, stage: Stage, now_ms: int) -> Any:
    where, to = config.get("where"), config["to"]
    if "over" not in config:
        return _made(to, names)
    over = config["over"]
    if not isinstance(over, list):
        message = f"map: over is a {kind(over)}, not a list"
        raise ActionFailed(message, kind="type")
    made = []
    for index, item in enumerate(over):
        inner = {**names, "item": item, "index": index}
        if where is None or where.test(inner):
            made.append(_made(to, inner))
    return made


def _made(to: Any, names: dict[str, Any]) -> Any:
    if not isinstance(to, Template | Expression):
        return to
    made = to.render(names) if isinstance(to, Template) else to.evaluate(names)
    return detached(made) if "state" in to.roots else made


def _emit(config: Any, names: dict[str, Any], path: str, stage: Stage, now_ms: int) -> Any:
    type_ = config.get("type")
    if not isinstance(type_, str) or not type_:
        message = f"emit: type is a {kind(type_)}, not a text"
        raise ActionFailed(message, kind="type")
    key, own = config.get("key"), config.get("id")
    received = Received(
        data=config.get("data"),
        type=type_,
        key=to_key(key),
        identity=f"{stage.root}:{key_path(path)}" if own is None else f"id:{type_}:{to_text(own)}",
        time_ms=now_ms,
        parent=stage.event,
        depth=stage.depth + 1,
    )
    emission = Emission(stage.new_id(), "event", received)
    stage.emissions.append(emission)
    return {"type": type_}


def _reply(config: Any, names: dict[str, Any], path: str, stage: Stage, now_ms: int) -> Any:
    reply = config if isinstance(config, dict) else {"text": to_text(config)}
    status = reply.get("status", 200)
    if not isinstance(status, int) or not 200 <= status <= 599:
        message = f"reply: status is {status!r}, not a number from 200 to 599"
        raise ActionFailed(message, kind="type")
    if stage.reply is None:
        stage.reply = Replied(reply)
    return reply


def _fail(config: Any, names: dict[str, Any], path: str, stage: Stage, now_ms: int) -> Any:
    message = config.get("message") if isinstance(config, dict) else config
    raise ActionFailed(to_text(message), kind="fail")


def _stop(config: Any, names: dict[str, Any], path: str, stage: Stage, now_ms: int) -> Any:
    reason = config.get("reason") if isinstance(config, dict) else config
    return Stopped("" if reason is None else to_text(reason))


def shown_of(config: Any, output: Any) -> Any:
    """The input of `set` or `map` as the journal keeps it: values in place of expressions."""
    if "to" in config:
        return {"over": config["over"]} if "over" in config else {}
    return {name: output if len(config) == 1 else output[name] for name in config}


DEFERRED = frozenset({"set", "map"})  # their configs hold expressions
WORDS: Mapping[str, Word] = {
    "log": _log,
    "vars": _vars,
    "set": _set,
    "map": _map,
    "emit": _emit,
    "reply": _reply,
    "fail": _fail,
    "stop": _stop,
}
