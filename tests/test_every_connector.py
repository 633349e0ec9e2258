"""What every connector must be, found through the catalog."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from msgspec import inspect
from ruamel.yaml import YAML

from reactor.loading.context import Loading
from reactor.loading.load import load_text
from reactor.plugin.catalog import ACTIONS, SOURCES, Catalog
from reactor.plugin.spec import Spec

ROOT = Path(__file__).parent.parent
WORDS = [("source", word) for word in SOURCES] + [("action", word) for word in ACTIONS]
# Names that examples read.
FLOWS = {
    "action": "flow: a\nwhen:\n  http: {{path: /a, verify: none}}\n"
    "vars: {{report: a, orders: []}}\n"
    "do:\n  - id: store\n    log: hi\n  -\n{example}\n",
    "source": "flow: a\nwhen:\n{example}\ndo:\n  - log: hi\n",
}
# Libraries that only one connector may pull; all of them load on first use.
THIRD_PARTY = {
    "aiohttp", "aiokafka", "aiomqtt", "aiosmtplib", "apscheduler", "cryptography", "hiredis",
    "httptools", "nats", "psycopg", "pymysql", "pymysqlreplication", "redis", "watchfiles",
}  # fmt: skip
PULLS = {
    "reactor.connectors.email.action": {"aiosmtplib"},
    "reactor.connectors.file.source": {"watchfiles"},
    "reactor.connectors.http.action": {"aiohttp", "cryptography"},
    "reactor.connectors.http.poll": {"aiohttp", "cryptography"},
    "reactor.connectors.schedule.source": {"apscheduler"},
}
# Sources that run; the others are the engine's own.
RUN = {
    *("http", "file", "schedule", "poll", "exec", "kafka", "nats", "redis", "mqtt"),
    *("sql", "postgres", "mysql"),
}


def spec_of(kind: Any, word: str) -> Spec:
    """The declaration of a word."""
    spec = Catalog().find(kind, word)
    assert spec is not None, f"the catalog names no {kind} {word}"
    return spec


@pytest.mark.parametrize(("kind", "word"), WORDS)
def test_a_word_is_declared(kind, word):
    """The connector that the catalog names has the word, with a sentence on what it does."""
    spec = spec_of(kind, word)

    assert (spec.kind, spec.word) == (kind, word)
    assert spec.summary.endswith(".")
    assert spec.examples
    assert (spec.run is not None) == (word in RUN if kind == "source" else spec.outside)


@pytest.mark.parametrize(("kind", "word"), WORDS)
def test_every_field_is_documented(kind, word):
    """Each field, also of maps inside, says what it means; sources do for what they bring too."""
    spec = spec_of(kind, word)
    silent = [name for name, type_ in fields_in(spec.config) if not described(type_)]
    if spec.fields is not None:
        silent += [name for name, type_ in fields_in(spec.fields) if not described(type_)]

    assert silent == []


@pytest.mark.parametrize("word", ACTIONS)
def test_every_result_is_documented(word):
    """Each field of a result with named fields says what it means."""
    silent = [
        name for name, type_ in fields_in(spec_of("action", word).output) if not described(type_)
    ]

    assert silent == []


@pytest.mark.parametrize(("kind", "word"), WORDS)
def test_every_example_is_the_word(kind, word):
    """An example is YAML whose one key is the word and whose inner keys are fields."""
    spec = spec_of(kind, word)
    type_ = inspect.type_info(spec.config)
    for example in spec.examples:
        document = YAML(typ="safe", pure=True).load(example)

        assert list(document) == [word]
        value = document[word]
        if not isinstance(value, dict):
            assert spec.shorthand is not None
        elif isinstance(type_, inspect.StructType):
            fields = {field.encode_name: field for field in type_.fields}
            assert set(value) <= set(fields)
            assert {name for name, field in fields.items() if field.required} <= set(value)
            assert list((spec.check or no_complaints)(value)) == []
            for group in spec.one_of:
                assert len(set(group) & set(value)) == 1


@pytest.mark.parametrize(("kind", "word"), WORDS)
def test_every_example_loads(kind, word):
    """A flow with the example has no problem."""
    loading = Loading(catalog=Catalog())
    for example in spec_of(kind, word).examples:
        loaded = load_text(FLOWS[kind].format(example=indent(example, " " * 4)), "a.yaml", loading)

        assert [str(problem) for problem in loaded.problems] == []


@pytest.mark.parametrize(("kind", "word"), WORDS)
def test_names_of_fields_exist(kind, word):
    """What a declaration says of fields is true of its config."""
    spec = spec_of(kind, word)
    type_ = inspect.type_info(spec.config)
    fields = (
        {field.encode_name for field in type_.fields}
        if isinstance(type_, inspect.StructType)
        else set()
    )

    named = {name for group in spec.one_of for name in group} | set(spec.identity or ())
    assert named | ({spec.shorthand} if spec.shorthand else set()) <= fields


@pytest.mark.parametrize("module", sorted({*SOURCES.values(), *ACTIONS.values()}))
def test_a_connector_pulls_no_other(module):
    """Importing a connector imports no other, and no library but its own."""
    code = f"import sys, {module}; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    loaded = set(ran.stdout.split())
    others = {
        name
        for name in loaded
        if name.startswith("reactor.connectors.") and name.split(".")[2] != module.split(".")[2]
    }
    assert others == set()
    assert loaded & THIRD_PARTY <= PULLS.get(module, set())


def no_complaints(written: Any) -> tuple[()]:
    """The check of a word without one."""
    return ()


def described(type_: inspect.Type) -> bool:
    """Whether `doc()` says what a field means."""
    return isinstance(type_, inspect.Metadata) and bool(
        (type_.extra_json_schema or {}).get("description")
    )


def fields_in(config: Any) -> Iterator[tuple[str, inspect.Type]]:
    """The fields of a type and of all maps inside it, by their path."""
    if config is not None:
        yield from _fields(inspect.type_info(config), "")


def _fields(type_: inspect.Type, path: str) -> Iterator[tuple[str, inspect.Type]]:
    if isinstance(type_, inspect.Metadata):
        yield from _fields(type_.type, path)
    elif isinstance(type_, inspect.UnionType):
        for each in type_.types:
            yield from _fields(each, path)
    elif isinstance(type_, inspect.ListType):
        yield from _fields(type_.item_type, path)
    elif isinstance(type_, inspect.DictType):
        yield from _fields(type_.value_type, path)
    elif isinstance(type_, inspect.StructType | inspect.TypedDictType):
        for field in type_.fields:
            place = f"{path}.{field.encode_name}".lstrip(".")
            yield place, field.type
            yield from _fields(field.type, place)
