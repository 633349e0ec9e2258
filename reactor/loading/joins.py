"""`join`: triggers as branches of one, with one key."""

from collections.abc import Mapping

import msgspec

from reactor.loading.context import Context
from reactor.loading.gates import GATES, seconds_of
from reactor.loading.values import MapValue, Scalar, Value
from reactor.model.flow import Trigger
from reactor.model.gates import Gates, Join

BESIDE = ("id", "key", "throttle")  # what stands beside `join`; the rest belongs to its branches


def branches_of(value: Value) -> Mapping[str, Value]:
    """The branches of a join as they are written."""
    of = value.get("of") if isinstance(value, MapValue) else None
    return {entry.key.text: entry.value for entry in of.entries} if isinstance(of, MapValue) else {}


def check_join(value: MapValue, join: Value, context: Context) -> None:
    """Report what a join cannot do."""
    report, branches = context.report, branches_of(join)
    of = join.get("of") if isinstance(join, MapValue) else None
    if isinstance(of, MapValue) and len(branches) < 2:
        report.error(of, "a join has at least two branches: of: {order: …, payment: …}")
    for entry in value.entries:
        word = entry.key.text
        if word != "join" and word not in BESIDE:
            where = "on a branch" if word not in GATES else "on a trigger of its own, which emits"
            report.error(entry.key, f"{word} does not stand beside join: it belongs {where}")
    for name, branch in branches.items():
        if not isinstance(branch, MapValue):
            continue
        for entry in branch.entries:
            if entry.key.text in GATES or entry.key.text in ("id", "join"):
                takes = "only_if, unless, split, key and dedup"
                report.error(entry.key, f"a branch of join takes {takes}, not {entry.key.text}")
        http = branch.get("http")
        if isinstance(http, MapValue) and (respond := http.entry("respond")) is not None:
            report.error(respond.key, "a branch of join cannot answer a caller that waits")
        if branch.entry("key") is None and value.entry("key") is None:
            message = f"branch {name} has no key: which events belong together? key: event.…"
            report.error(branch.first, message)


def joined(trigger: Trigger, found: Mapping[str, Trigger], join: Value) -> Trigger:
    """The trigger with its branches, which share its id and its gates."""
    within = fire = None
    if isinstance(join, MapValue):
        within, fire = join.get("within"), join.get("fire")
    throttle = None if trigger.gates is None else trigger.gates.throttle
    config = Join(
        within_ms=round((seconds_of(within) or 0) * 1000),
        names=tuple(found),
        missing=isinstance(fire, Scalar) and fire.text == "missing",
    )
    gates = Gates(chain=(("join", config),), throttle=throttle)
    branches = tuple(
        msgspec.structs.replace(
            branch, id=trigger.id, gates=gates, branch=name, key=branch.key or trigger.key
        )
        for name, branch in found.items()
    )
    return msgspec.structs.replace(trigger, gates=gates, branches=branches)
