"""The command that writes a flow to begin with."""

from importlib.resources import files
from pathlib import Path

import click

from reactor.cli.command import command
from reactor.cli.options import chosen
from reactor.cli.output import print_json, print_table, say
from reactor.errors import InvalidFlow, NotFound, UsageError

KINDS = {
    "webhook": "Starts with an HTTP request.",
    "schedule": "Starts by the clock.",
    "file": "Starts when a file comes.",
    "event": "Starts with what another flow emits.",
    "call": "Starts by hand, or when another flow calls it.",
}
_PLACE = "NAME"


@command("new", "reactor new", "reactor new webhook", "reactor new schedule nightly-backup")
@click.argument("kind", required=False)
@click.argument("name", required=False)
def new(kind: str | None, name: str | None) -> None:
    """Write a commented flow with its tests into the flows folder.

    KIND says what starts it (without one, the kinds are listed), NAME what it is called. What is
    there already is never written over.
    """
    if kind is None:
        if chosen().json:
            for each, text in KINDS.items():
                print_json({"kind": each, "about": text})
        else:
            print_table(("kind", "about"), KINDS.items())
        return
    name = name or kind
    file = chosen().flows / f"{name}.yaml"
    _write(file, starter(kind, name), name)
    if chosen().json:
        print_json({"flow": name, "file": str(file)})
    else:
        say(f"{file} is yours to change; `reactor check {file}` and `reactor test {file}` are ok")


def starter(kind: str, name: str) -> str:
    """The text of a flow to begin with."""
    if kind not in KINDS:
        from difflib import get_close_matches

        near = get_close_matches(kind, KINDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(KINDS)}"
        raise NotFound(f"no flow to begin with is called {kind!r}; {hint}")
    text = (files("reactor") / "starters" / f"{kind}.yaml").read_text(encoding="utf-8")
    return text.replace(_PLACE, name)


def _write(file: Path, text: str, name: str) -> None:
    from reactor.cli.reading import read_files, read_loading
    from reactor.loading.load import load_text

    loading = read_loading()
    wrong = load_text(text, str(file), loading).problems
    if any(problem.severity == "error" for problem in wrong):
        raise InvalidFlow(f"{name!r} is no name for a flow: {wrong[0].message}")
    others = read_files([file.parent], loading=loading) if file.parent.is_dir() else []
    for other in others:
        if any(flow.name == name for flow in other.flows):
            raise UsageError(f"a flow is called {name!r} already, in {other.file}: name another")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        raise UsageError(f"{file} is there already: reactor new KIND NAME") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error
