"""Tables in files: rows as maps."""

import asyncio
import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypedDict

import msgspec

from reactor.errors import ActionFailed
from reactor.plugin import files
from reactor.plugin.context import ActionContext
from reactor.plugin.files import Wanted, open_target
from reactor.plugin.spec import Complaint, Config, action, doc

Type = Literal["string", "integer", "number", "boolean"]
Row = dict[str, Any] | list[Any]

_TRUE = frozenset(["true", "yes", "on", "1"])
_FALSE = frozenset(["false", "no", "off", "0"])


class CsvRead(Config, frozen=True):
    """A table to read."""

    path: Annotated[
        str,
        doc(
            "The file; relative paths start at the flows' base.",
            "in.csv",
            strict=True,
            authored=True,
        ),
    ]
    header: Annotated[
        bool | list[str],
        doc(
            "Whether the first row names the columns; a list gives the names of a file without "
            "such a row. Without names each row is a list.",
            ["id", "name"],
        ),
    ] = True
    delimiter: Annotated[
        str, msgspec.Meta(min_length=1, max_length=1), doc("Between fields.", ";")
    ] = ","
    types: Annotated[
        dict[str, Type],
        doc("What columns hold; others are text. An empty field is null.", {"amount": "number"}),
    ] = msgspec.field(default_factory=dict)


class CsvWrite(Config, frozen=True):
    """A table to write."""

    path: Annotated[
        str,
        doc(
            "The file; relative paths start at the flows' base.",
            "out.csv",
            strict=True,
            authored=True,
        ),
    ]
    rows: Annotated[
        list[dict[str, Any] | list[Any]],
        doc("Maps, whose keys are the columns in order of appearance, or lists.", [{"id": 1}]),
    ]
    header: Annotated[bool, doc("Whether to name the columns in the first row.")] = True
    delimiter: Annotated[
        str, msgspec.Meta(min_length=1, max_length=1), doc("Between fields.", ";")
    ] = ","


class Written(TypedDict):
    """What was written."""

    path: Annotated[str, doc("The path as it was given.")]
    rows: Annotated[int, doc("How many rows, without the one that names the columns.")]


def _complaints(written: Mapping[str, Any]) -> Iterable[Complaint]:
    """What is wrong with a table as written, beyond types."""
    if written.get("types") and written.get("header") is False:
        yield ("types",), "types needs the columns' names: write header: [id, name]"


@action(
    "csv.read",
    examples=["csv.read: {path: in/prices.csv, delimiter: ';', types: {price: number}}"],
    check=_complaints,
)
async def csv_read(config: CsvRead, context: ActionContext) -> list[Row]:
    """Read a table of at most 64 MiB: a list with one map for each row."""

    def read() -> list[Row]:
        wanted = Wanted(config.path, context.authored.get("path", ""))
        with open_target(wanted, context.files) as target:
            content, _ = files.read(target)
        try:
            text = content.decode("utf-8-sig")
            return list(_rows(config, text))
        except UnicodeDecodeError as error:
            raise ActionFailed(f"{config.path}: is not UTF-8: {error}", kind="decode") from error
        except csv.Error as error:
            raise ActionFailed(f"{config.path}: {error}", kind="decode") from error

    return await asyncio.to_thread(read)


@action("csv.write", examples=["csv.write: {path: out/orders.csv, rows: '${{ vars.orders }}'}"])
async def csv_write(config: CsvWrite, context: ActionContext) -> Written:
    """Write a table in one step: readers see the old one or the new one, whole."""

    def write() -> Written:
        content = _table(config).encode()
        wanted = Wanted(config.path, context.authored.get("path", ""))
        with open_target(wanted, context.files, create=True) as target:
            files.write(target, content)
        return Written(path=config.path, rows=len(config.rows))

    return await asyncio.to_thread(write)


def _rows(config: CsvRead, text: str) -> Iterator[Row]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=config.delimiter, strict=True)
    names = next(lines, []) if config.header is True else config.header or None
    if names is not None and (missing := [each for each in config.types if each not in names]):
        raise ActionFailed(
            f"types: {config.path} has no column {missing[0]!r}, only {', '.join(names)}",
            kind="type",
        )
    for fields in lines:
        if not fields:
            continue  # an empty line
        if names is None:
            yield fields
            continue
        if len(fields) > len(names):
            raise ActionFailed(
                f"{config.path}:{lines.line_num}: has {len(fields)} fields, "
                f"but the table has {len(names)} columns",
                kind="decode",
            )
        row: dict[str, Any] = dict.fromkeys(names)
        for name, field in zip(names, fields, strict=False):
            row[name] = _typed(
                field, config.types.get(name, "string"), config, name, lines.line_num
            )
        yield row


def _typed(field: str, type_: Type, config: CsvRead, name: str, line: int) -> Any:
    if type_ == "string":
        return field
    word = field.strip()
    if not word:
        return None
    try:
        if "_" in word:  # which Python would pass over
            raise ValueError(word)
        if type_ == "integer":
            return int(word)
        if type_ == "number":
            return _number(word)
        if word.lower() in _TRUE | _FALSE:
            return word.lower() in _TRUE
    except ValueError:
        pass
    raise ActionFailed(f"{config.path}:{line}: {name}: {field[:40]!r} is no {type_}", kind="decode")


def _number(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(word)
    return number


def _table(config: CsvWrite) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=config.delimiter, lineterminator="\n")
    columns = list(dict.fromkeys(_keys(config.rows)))
    if config.header and columns:
        writer.writerow(columns)
    for row in config.rows:
        fields = [row.get(name) for name in columns] if isinstance(row, dict) else row
        writer.writerow([_field(each) for each in fields])
    return text.getvalue()


def _keys(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        if isinstance(row, dict):
            yield from row


def _field(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return msgspec.json.encode(value).decode().strip('"')
