"""Commands that read flows without a daemon: check, explain, schema, describe."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from reactor.cli.command import command
from reactor.cli.options import chosen
from reactor.cli.output import one_line, paint, print_json, say
from reactor.errors import InvalidFlow, NotFound


@command("check", "reactor check", "reactor check flows/hello.yaml --format github")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "json", "github"]), default="text",
              help="For people, for programs, for GitHub Actions.  [default: text]")  # fmt: skip
def check(paths: tuple[Path, ...], form: str) -> int:
    """Find the mistakes in flows, with their places and remedies.

    PATHS are files and folders; without any it is the flows folder.
    """
    from reactor.cli.reading import read_files
    from reactor.loading.lint import conflicts

    folder = chosen().flows
    asked = read_files(paths or [folder], tests=True)
    names = {each.file for each in asked}
    # The other flows are read too: names, routes and calls go from file to file. They come
    # first, so that of two flows in conflict the one that was asked about is named.
    known = {Path(name).absolute() for name in names}
    others = read_files([folder]) if paths and folder.is_dir() else []
    around = [each for each in others if Path(each.file).absolute() not in known] + asked
    problems = [problem for each in asked for problem in each.problems]
    problems += [each for each in conflicts(around) if each.place.file in names]
    form = "json" if chosen().json else form
    for problem in problems:
        _print_problem(problem, form)
    counts = Counter[str](problem.severity for problem in problems)
    if form != "json":
        flows = sum(len(each.flows) for each in asked)
        say(_summary(flows, len(asked), counts))
    return InvalidFlow.exit_code if counts["error"] else 0


@command("explain", "reactor explain hello")
@click.argument("flow")
def explain(flow: str) -> None:
    """Say what FLOW does, in the order in which it happens."""
    from reactor.cli.explain import explained
    from reactor.cli.reading import read_catalog, read_flow

    stages = explained(read_flow(flow), read_catalog())
    if chosen().json:
        for stage in stages:
            print_json({"part": stage.part, "stage": stage.name, "text": stage.text})
        return
    part = None
    for stage in stages:
        if stage.part != part:
            part = stage.part
            say(click.style(one_line(part), bold=True))
        say(f"  {stage.name:<12}  {one_line(stage.text)}".rstrip())


@command("schema", "reactor schema > reactor.schema.json")
def schema() -> None:
    """Print the JSON Schema of flow files, for editors."""
    from reactor.cli.reading import read_catalog
    from reactor.loading.schema import json_schema

    found = json_schema(read_catalog())
    if chosen().json:
        print_json(found)
    else:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))


@command("describe", "reactor describe http", "reactor describe file.read --json")
@click.argument("word")
def describe(word: str) -> None:
    """Say what WORD, a source or an action, takes and gives."""
    from reactor.cli.reading import read_catalog
    from reactor.plugin.describe import config_schema, describe_text

    catalog = read_catalog()
    specs = [spec for kind in _KINDS if (spec := catalog.find(kind, word)) is not None]
    if not specs:
        near = next((found for kind in _KINDS if (found := catalog.nearest(kind, word))), None)
        later = any(catalog.later(kind, word) for kind in _KINDS)
        hint = "not built yet" if later else f"did you mean {near}?" if near else "see reactor help"
        raise NotFound(f"no source or action is called {word!r}: {hint}")
    if chosen().json:
        for spec in specs:
            print_json({"word": word, "kind": spec.kind, "schema": config_schema(spec)})
    else:
        click.echo("\n\n".join(map(describe_text, specs)))


_KINDS: tuple[Any, ...] = ("source", "action")


def _print_problem(problem: Any, form: str) -> None:
    place = problem.place
    if form == "json":
        shown = {"file": place.file, "line": place.line, "column": place.column}
        more = {name: getattr(problem, name) for name in ("severity", "message", "snippet")}
        print_json({**shown, **more, "repaired": problem.repaired})
    elif form == "github":
        level = "notice" if problem.severity == "note" else problem.severity
        text = problem.message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        click.echo(f"::{level} file={place.file},line={place.line},col={place.column}::{text}")
    else:
        from reactor.problem import render_text

        say(render_text(problem))


def _summary(flows: int, files: int, counts: Counter[str]) -> str:
    found = [f"{counts[kind]} {kind}{'s' * (counts[kind] != 1)}" for kind in _SEVERITIES]
    wrong = ", ".join(text for kind, text in zip(_SEVERITIES, found, strict=True) if counts[kind])
    size = f"{flows} flow{'s' * (flows != 1)} in {files} file{'s' * (files != 1)}"
    return f"{size}: {wrong or paint('ok')}"


_SEVERITIES = ("error", "warning", "note")
