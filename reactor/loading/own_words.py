"""`set` and `vars`, whose fields are named by the author."""

from typing import Any

from msgspec.inspect import AnyType

from reactor.expr.template import Template
from reactor.loading import texts
from reactor.loading.configs import Meta, Walk
from reactor.loading.context import Context
from reactor.loading.names import Names
from reactor.loading.values import MapValue, Scalar, Value
from reactor.loading.words import SetWords


def read_vars(value: Value, names: Names, context: Context) -> tuple[Template, set[str]]:
    """The values of a `vars` step, and the names that it makes."""
    entries = context.map_of(value, "vars")
    if entries is None:
        return Template({}), set()
    for entry in entries.entries:
        context.identifier(entry.key, "names of vars")
    walk = Walk(context.report, names.input())
    return walk.template(walk.walk(entries, AnyType(), Meta("vars"))), set(entries.names)


def read_set(value: Value, names: Names, context: Context) -> Template:
    """The entries of a `set` step: `{name: {key, value, ttl}}`.

    `key` is an Expression or None, `value` an Expression (long form) or a Template (short form):
    the engine evaluates them inside the commit that stores the step's result.
    """
    entries = context.map_of(value, "set")
    if entries is None:
        return Template({})
    if not entries.entries:
        context.report.error(value, "set names at least one value: set: {last_seen: ${{ now }}}")
    tree: dict[str, Any] = {}
    for entry in entries.entries:
        context.identifier(entry.key, "names of state")
        tree[entry.key.text] = _entry(entry.value, names, context)
    return Template(tree)


def _entry(value: Value, names: Names, context: Context) -> dict[str, Any]:
    scope, report = names.kept(), context.report
    if isinstance(value, MapValue) and value.entry("value") is not None:
        read = context.shape(value, SetWords, "set", scope)
        if read is None:
            return {}
        written = value.get("value")
        stored: Any = read.value
        if isinstance(written, Scalar) and written.value is None:
            stored = Template(None)
        ttl = None if read.ttl is None else float(read.ttl)
        return {"key": read.key, "value": stored, "ttl": ttl}
    if isinstance(value, Scalar):
        return {"key": None, "value": texts.template(value, scope, report), "ttl": None}
    walk = Walk(report, scope)
    template = walk.template(walk.walk(value, AnyType(), Meta("set")))
    return {"key": None, "value": template, "ttl": None}
