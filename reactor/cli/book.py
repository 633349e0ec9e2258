"""`help`: the manual, and the meaning of every word."""

import shutil

import click

from reactor.cli.command import command
from reactor.cli.options import chosen
from reactor.cli.output import coloured, on_terminal, print_json
from reactor.errors import NotFound


@command("help", "reactor help", "reactor help http", "reactor help truncate")
@click.argument("word", required=False)
@click.pass_context
def help_(context: click.Context, word: str | None) -> None:
    """Read the manual: a page, or what WORD means.

    WORD is a page, a source or action, a function, a command or a setting.
    """
    from reactor.cli import pages
    from reactor.cli.reading import read_catalog

    commands = context.find_root().command
    if word is None or not isinstance(commands, click.Group):
        _print_contents()
        return
    catalog = read_catalog()
    found = pages.look_up(word, commands, catalog)
    if not found:
        near = pages.nearest(word, commands, catalog)
        hint = f"did you mean {' or '.join(near)}?" if near else "`reactor help` lists the pages"
        raise NotFound(f"the manual has no {word!r}: {hint}")
    if chosen().json:
        for one in found:
            print_json(one._asdict())
        return
    _print_text("\n".join(one.text for one in found))


def _print_contents() -> None:
    from reactor.cli import pages

    if chosen().json:
        for page in pages.ORDER:
            print_json({"page": page, "title": pages.title(page)})
        return
    rows = [f"| `{page}` | {pages.title(page)} |" for page in pages.ORDER]
    end = "`reactor help PAGE` shows a page, `reactor help WORD` what a word means."
    _print_text("\n".join(["# The manual", "", *rows, "", end, ""]))


def _print_text(markdown: str) -> None:
    if not on_terminal():
        click.echo(markdown, nl=False)
        return
    from reactor.cli.typeset import typeset

    text = typeset(markdown, width=min(100, shutil.get_terminal_size().columns))
    click.echo_via_pager(text if coloured() else click.unstyle(text), color=coloured())
