"""The book that the program carries: its pages, and what is generated into them."""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from importlib.resources import files
from typing import Literal, NamedTuple

import click

from reactor.expr.function import Function
from reactor.expr.functions import TABLE
from reactor.plugin.catalog import Catalog
from reactor.plugin.describe import describe_markdown
from reactor.settings import describe_settings

# In the order in which a newcomer reads them.
ORDER = (
    "start",
    "flow",
    "triggers",
    "gates",
    "http",
    "databases",
    "conditions",
    "steps",
    "waits",
    "expressions",
    "functions",
    "retry",
    "run",
    "files",
    "testing",
    "cookbook",
    "kafka",
    "nats",
    "redis",
    "mqtt",
    "secrets",
    "settings",
    "words",
    "commands",
    "errors",
    "promises",
    "operating",
    "plugins",
    "embedding",
)
_KINDS: tuple[Literal["source", "action"], ...] = ("source", "action")


class Found(NamedTuple):
    """What a word of `help` led to: its kind and its text in Markdown."""

    kind: str
    name: str
    text: str


def title(page: str) -> str:
    """The heading of a page."""
    return _read(page).partition("\n")[0].removeprefix("# ")


def page_text(page: str, commands: click.Group, catalog: Catalog) -> str:
    """A page with its generated parts in place."""
    made: Mapping[str, Callable[[], Iterator[str]]] = {
        "<!-- settings -->": _settings,
        "<!-- functions -->": _functions,
        "<!-- words -->": lambda: _words(catalog),
        "<!-- commands -->": lambda: _commands(commands),
    }
    text = _read(page)
    for mark, lines in made.items():
        if mark in text:
            text = text.replace(mark, "\n".join(lines()))
    return text


def look_up(word: str, commands: click.Group, catalog: Catalog) -> list[Found]:
    """Everything that a word names: page, source or action, function, command, setting."""
    found = []
    if word in ORDER:
        found.append(Found("page", word, page_text(word, commands, catalog)))
    for kind in _KINDS:
        spec = catalog.find(kind, word)
        if spec is not None:
            found.append(Found(kind, word, describe_markdown(spec)))
    if word in TABLE:
        found.append(Found("function", word, _function(TABLE[word])))
    context = click.Context(commands, info_name="reactor")
    if word in commands.list_commands(context):
        found.append(Found("command", word, _command(commands, word)))
    found += [
        Found("setting", key, _setting(key, takes, default, meaning))
        for key, takes, default, meaning in describe_settings()
        if word in (key, _variable(key)) or key.startswith(f"{word}.")
    ]
    return found or _explaining(word, commands, catalog)


def _explaining(word: str, commands: click.Group, catalog: Catalog) -> list[Found]:
    """The page that speaks most of a word of the flow language, such as `only_if`."""
    texts = {page: page_text(page, commands, catalog) for page in ORDER}
    counts = {
        page: text.count(f"`{word}`") + text.count(f"`{word}:") for page, text in texts.items()
    }
    page = max(counts, key=lambda each: counts[each])
    return [Found("page", page, texts[page])] if counts[page] else []


def nearest(word: str, commands: click.Group, catalog: Catalog) -> list[str]:
    """The words that were probably meant."""
    context = click.Context(commands, info_name="reactor")
    known = [*ORDER, *TABLE, *commands.list_commands(context)]
    known += [name for kind in _KINDS for name in catalog.words(kind)]
    known += [key for key, *_ in describe_settings()]
    return get_close_matches(word, dict.fromkeys(known), 3)


def _read(page: str) -> str:
    return (files("reactor") / "manual" / f"{page}.md").read_text(encoding="utf-8")


def _settings() -> Iterator[str]:
    yield "| setting | takes | default | |"
    yield "|---|---|---|---|"
    for key, takes, default, meaning in describe_settings():
        shown = f"`{default}`" if default else ""
        yield f"| `{key}` | {takes} | {shown} | {_cell(meaning)} |"


def _functions() -> Iterator[str]:
    yield "| function | | example |"
    yield "|---|---|---|"
    for function in sorted(TABLE.values(), key=lambda each: each.name):
        example = f"`{_cell(function.example)}`" if function.example else ""
        yield f"| `{function.signature}` | {_cell(function.summary)} | {example} |"


def _words(catalog: Catalog) -> Iterator[str]:
    for kind in _KINDS:
        yield f"\n## {kind.capitalize()}s\n"
        yield "| word | |"
        yield "|---|---|"
        for word in catalog.words(kind):
            spec = catalog.find(kind, word)
            if spec is not None:
                yield f"| `{word}` | {_cell(spec.summary)} |"


def _commands(commands: click.Group) -> Iterator[str]:
    yield "| command | |"
    yield "|---|---|"
    context = click.Context(commands, info_name="reactor")
    for name in commands.list_commands(context):
        command = commands.get_command(context, name)
        if command is not None:
            yield f"| `reactor {name}` | {_cell(command.get_short_help_str(200))} |"


def _function(function: Function) -> str:
    lines = [f"## `{function.signature}`", "", function.summary, "", f"Gives {function.returns}."]
    if function.example:
        lines += ["", "```", f"{function.example}  →  {function.result!r}", "```"]
    return "\n".join(lines) + "\n"


def _command(commands: click.Group, name: str) -> str:
    context = click.Context(commands, info_name="reactor")
    command = commands.get_command(context, name)
    if command is None:
        return ""
    help_ = command.get_help(click.Context(command, info_name=name, parent=context))
    return f"## `reactor {name}`\n\n```\n{help_}\n```\n"


def _setting(key: str, takes: str, default: str, meaning: str) -> str:
    lines = [f"## `{key}`", "", meaning, "", f"- takes: {takes}"]
    lines += [f"- default: `{default}`"] if default else []
    return "\n".join([*lines, f"- as environment variable: `{_variable(key)}`"]) + "\n"


def _variable(key: str) -> str:
    return f"REACTOR_{key.replace('.', '_').upper()}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
