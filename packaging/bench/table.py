"""The measured rows as a table of Markdown, for terminals and for the manual."""

from collections.abc import Sequence

from measure import Row, Spread

HEAD = ("what", "measured", "beside it", "ratio", "aim", "")


def table(rows: Sequence[Row]) -> str:
    """Each figure is a median with its least and most, and the number of samples."""
    cells = [HEAD, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    head, *lines = ("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells)
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([head, rule, *lines])


def _cells(row: Row) -> tuple[str, ...]:
    beside, ratio = row.reference, ""
    if row.beside is not None:
        beside = f"{row.reference}: {_figures(row.beside, row.unit)}"
        ratio = f"{row.measured.median / row.beside.median:.2f}"
    reached = "pass" if row.passed else "FAIL"
    return row.what, _figures(row.measured, row.unit), beside, ratio, row.aim, reached


def _figures(spread: Spread, unit: str) -> str:
    text = f"{_number(spread.median)} {unit}"
    if spread.samples > 1:
        text += f" ({_number(spread.least)}–{_number(spread.most)}, {spread.samples}×)"
    return text


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
