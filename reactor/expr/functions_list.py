"""Functions on lists and maps."""

from typing import Any

from reactor.errors import EvaluationError
from reactor.expr.function import Function, Param
from reactor.expr.operators import equal, field
from reactor.expr.values import Fuel, kind, to_text

_MAX_PATH = 200


def _at(value: Any, path: list[str]) -> Any:
    for name in path:
        value = field(value, name)
    return value


def _path(path: str) -> list[str]:
    if len(path) > _MAX_PATH:
        raise EvaluationError(f"a key has at most {_MAX_PATH} characters")
    return path.split(".") if path else []


def _len(_fuel: Fuel, value: Any) -> int:
    return len(value)


def _sorted(fuel: Fuel, values: list[Any], reverse: Any) -> list[Any]:
    return _ordered("sorted", fuel, values, values, reverse)


def _sort_by(fuel: Fuel, values: list[Any], key: str, reverse: Any) -> list[Any]:
    path = _path(key)
    fuel.spend(1 + len(values) * (1 + len(path)))
    return _ordered("sort_by", fuel, values, [_at(value, path) for value in values], reverse)


def _ordered(name: str, fuel: Fuel, values: list[Any], keys: list[Any], reverse: Any) -> list[Any]:
    # What has no key comes last, whichever way the rest is sorted.
    kinds = {kind(key) for key in keys} - {"null"}
    if len(kinds) > 1 or kinds & {"list", "map", "bytes"}:
        raise EvaluationError(
            f"{name} takes numbers, texts or times of one kind, not {' and '.join(sorted(kinds))}"
        )
    weight = sum(1 + (len(key) >> 6) for key in keys if type(key) is str) or len(keys)
    fuel.spend(1 + weight * (1 + len(keys).bit_length()))
    places = [place for place, key in enumerate(keys) if key is not None]
    places.sort(key=keys.__getitem__, reverse=reverse)
    return [values[place] for place in places] + [
        value for value, key in zip(values, keys, strict=True) if key is None
    ]


def _group_by(fuel: Fuel, values: list[Any], key: str) -> dict[str, list[Any]]:
    path = _path(key)
    fuel.spend(1 + len(values) * (8 + len(path)))
    groups: dict[str, list[Any]] = {}
    for value in values:
        name = to_text(_at(value, path))
        fuel.scan(len(name))
        groups.setdefault(name, []).append(value)
    return groups


def _unique(fuel: Fuel, values: list[Any], key: str) -> list[Any]:
    path = _path(key)
    fuel.spend(1 + len(values) * (4 + len(path)))
    seen: set[Any] = set()
    large: list[Any] = []
    kept = []
    for value in values:
        mark = _at(value, path)
        if type(mark) in (list, dict):
            if any(equal(mark, other, fuel) for other in large):
                continue
            large.append(mark)
        elif (type(mark) is bool, mark) in seen:
            continue
        else:
            seen.add((type(mark) is bool, mark))
        kept.append(value)
    return kept


def _first(_fuel: Fuel, values: Any) -> Any:
    return values[0] if values else None


def _last(_fuel: Fuel, values: Any) -> Any:
    return values[-1] if values else None


def _pluck(fuel: Fuel, values: list[Any], key: str) -> list[Any]:
    path = _path(key)
    fuel.spend(1 + len(values) * (2 + len(path)))
    return [_at(value, path) for value in values]


def _where(fuel: Fuel, values: list[Any], key: str, wanted: Any) -> list[Any]:
    path = _path(key)
    fuel.spend(1 + len(values) * (2 + len(path)))
    return [value for value in values if equal(_at(value, path), wanted, fuel)]


def _chunk(fuel: Fuel, values: list[Any], size: int) -> list[list[Any]]:
    if size < 1:
        raise EvaluationError("chunk takes a size of at least 1")
    fuel.spend(1 + 2 * len(values) + 16 * (len(values) // size))
    return [values[start : start + size] for start in range(0, len(values), size)]


def _flatten(fuel: Fuel, values: list[Any]) -> list[Any]:
    flat: list[Any] = []
    for value in values:
        fuel.spend(1 + (2 * len(value) if type(value) is list else 0))
        if type(value) is list:
            flat.extend(value)
        else:
            flat.append(value)
    return flat


def _keys(fuel: Fuel, value: dict[str, Any]) -> list[str]:
    fuel.spend(1 + 2 * len(value))
    return list(value)


def _values(fuel: Fuel, value: dict[str, Any]) -> list[Any]:
    fuel.spend(1 + 2 * len(value))
    return list(value.values())


def _entries(fuel: Fuel, value: dict[str, Any]) -> list[dict[str, Any]]:
    fuel.spend(1 + 40 * len(value))
    return [{"key": key, "value": each} for key, each in value.items()]


def _merge(fuel: Fuel, *maps: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for each in maps:
        fuel.spend(1 + 16 * len(each))
        merged.update(each)
    return merged


_LIST = Param("list", "list")
_MAP = Param("map", "map")
_KEY = Param("key", "text")

FUNCTIONS = (
    Function(
        "len", (Param("value", "text or list or map or bytes"),), "number",
        "How many characters, elements or keys there are.", 'len(["a", "b"])', 2, _len,
    ),
    Function(
        "sorted", (_LIST, Param("reverse", "boolean", False)), "list",
        "The list in order; nulls come last.", "sorted([3, 1, 2])", [1, 2, 3], _sorted,
    ),
    Function(
        "sort_by", (_LIST, _KEY, Param("reverse", "boolean", False)), "list",
        "A list of maps in the order of a key (`a.b` reaches inside); those without it come last.",
        'sort_by([{"n": 2}, {"n": 1}], "n")', [{"n": 1}, {"n": 2}], _sort_by,
    ),
    Function(
        "group_by", (_LIST, _KEY), "map", "Maps of a list in groups by the text of a key.",
        'group_by([{"k": "a", "n": 1}, {"k": "b", "n": 2}], "k")',
        {"a": [{"k": "a", "n": 1}], "b": [{"k": "b", "n": 2}]}, _group_by,
    ),
    Function(
        "unique", (_LIST, Param("key", "text", "")), "list",
        "The list without repeats (by the value of a key, if one is given); the first ones stay.",
        "unique([1, 2, 1])", [1, 2], _unique,
    ),
    Function(
        "first", (Param("list", "list or text"),), "any or null",
        "The first element; null if there is none.",
        "first([1, 2])", 1, _first,
    ),
    Function(
        "last", (Param("list", "list or text"),), "any or null",
        "The last element; null if there is none.",
        "last([1, 2])", 2, _last,
    ),
    Function(
        "pluck", (_LIST, _KEY), "list",
        "The value of one key of each map of a list (`a.b` reaches inside).",
        'pluck([{"id": 1}, {"id": 2}], "id")', [1, 2], _pluck,
    ),
    Function(
        "where", (_LIST, _KEY, Param("value", "any or null", True)), "list",
        "The maps of a list whose key has the value (without one: is true).",
        'where([{"ok": true}, {"ok": false}], "ok")', [{"ok": True}], _where,
    ),
    Function(
        "chunk", (_LIST, Param("size", "integer")), "list",
        "The list in lists of at most `size` elements.",
        "chunk([1, 2, 3], 2)", [[1, 2], [3]], _chunk,
    ),
    Function(
        "flatten", (_LIST,), "list",
        "The list with the elements of its lists in their place, one level.",
        "flatten([[1], [2, 3], 4])", [1, 2, 3, 4], _flatten,
    ),
    Function("keys", (_MAP,), "list", "The keys of a map.", 'keys({"a": 1})', ["a"], _keys),
    Function("values", (_MAP,), "list", "The values of a map.", 'values({"a": 1})', [1], _values),
    Function(
        "entries", (_MAP,), "list", "The pairs of a map as a list of `{key, value}`.",
        'entries({"a": 1})', [{"key": "a", "value": 1}], _entries,
    ),
    Function(
        "merge", (_MAP, Param("others", "map", rest=True)), "map",
        "One map with the keys of all; a later one wins.",
        'merge({"a": 1}, {"a": 2, "b": 3})', {"a": 2, "b": 3}, _merge,
    ),
)  # fmt: skip
