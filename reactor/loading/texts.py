"""Expressions and templates of a file: parsed where they stand, each mistake at its own column."""

import re

from reactor.expr.parse import Expression, parse
from reactor.expr.scope import ExpressionInvalid, Mistake, Scope
from reactor.expr.template import Template, parse_template
from reactor.loading.report import Report
from reactor.loading.values import At, ListValue, MapValue, Scalar, Value, quoted

_COMMENT = re.compile(r"\s+#")
_FOREIGN_BRACES = re.compile(r"(?<!\$)\{\{.*?\}\}")
_UNSAFE_PLAIN = re.compile(r""": |\s#|^[!&*|>%@`"'{\[#?,-]|[{}\[\],]""")
_UNSAFE_ALONE = re.compile(r""": |\s#|^[!&*|>%@`"'{\[#?,-]""")


def expression(value: Value, scope: Scope, report: Report) -> Expression | None:
    """The expression of a scalar; a list is one composed value."""
    if isinstance(value, ListValue):
        return _composed(value, scope, report)
    if isinstance(value, MapValue):
        report.error(value, "an expression stands here, not a map: quote it if it begins with {")
        return None
    if value.text.strip() == "":
        report.error(value, "an expression is missing here")
        return None
    try:
        return parse(value.text, scope)
    except ExpressionInvalid as error:
        explain(error, value, report)
        return None


def conditions(value: Value, scope: Scope, report: Report) -> tuple[Expression, ...]:
    """One condition, or a list of them."""
    items = value.items if isinstance(value, ListValue) else (value,)
    if isinstance(value, ListValue) and not items:
        report.error(value, "a list of conditions has at least one")
    found = (expression(item, scope, report) for item in items)
    return tuple(each for each in found if each is not None)


def template(value: Scalar, scope: Scope, report: Report) -> Template:
    """The template of one scalar; numbers and the like are constants."""
    if not isinstance(value.value, str):
        return Template(value.value)
    check_braces(value, report)
    try:
        return parse_template(value.value, scope)
    except ExpressionInvalid as error:
        explain(error, value, report)
        return Template(value.value)


def check_braces(value: Scalar, report: Report) -> None:
    """Warn of `{{ }}`, which is another system's template and stays as text here."""
    found = _FOREIGN_BRACES.search(value.text)
    if found is None or value.style == "guess":
        return
    name = ""
    if re.search(r"\btrigger\b", found[0]):
        name = "; and trigger is Home Assistant's name: see event"
    message = f"{{{{ }}}} stays as text here; this language writes ${{{{ … }}}}{name}"
    report.warning(spot(value, found.start(), len(found[0]), report), message)


def explain(error: ExpressionInvalid, value: Scalar, report: Report, shift: int = 0) -> None:
    """Report the mistakes of an expression or template, each at its place with the line corrected.

    `shift` is how many characters were put before the written text.
    """
    if _explain_yaml(value, report):
        return
    for each in error.mistakes:
        at = spot(value, max(0, each.offset - shift), each.length, report)
        report.error(at, each.message, repaired=_repaired(value, each, shift, report))


def spot(value: Scalar, offset: int, length: int, report: Report) -> At:
    """Where a part of a scalar's text stands in the file."""
    at = value.at
    if value.style == "|":
        return _spot_in_block(value, offset, length, report)
    if value.style == "guess":
        return at
    if at.line != at.end_line or value.style == ">":
        return _spot_in_folded(value, offset, length, report)
    column = at.column + offset
    if value.style in ("'", '"'):
        column = at.column + 1 + _written_length(report.line(at.line), value, offset)
    end = min(column + max(1, length), at.end_column)
    return At(at.line, min(column, max(at.column, end - 1)), at.line, end)


def _spot_in_block(value: Scalar, offset: int, length: int, report: Report) -> At:
    before = value.text[:offset]
    number = value.at.line + 1 + before.count("\n")
    line = report.line(number)
    column = len(line) - len(line.lstrip()) + 1 + offset - (before.rfind("\n") + 1)
    return At(number, column, number, min(column + length, max(column + 1, len(line) + 1)))


def _spot_in_folded(value: Scalar, offset: int, length: int, report: Report) -> At:
    # YAML joined the lines, so the piece is looked up as it is written.
    piece = value.text[offset : offset + length].partition("\n")[0]
    for number in range(value.at.line, value.at.end_line + 1):
        column = report.line(number).find(piece) + 1
        if piece.strip() and column:
            return At(number, column, number, column + len(piece))
    return value.at


def _written_length(line: str, value: Scalar, offset: int) -> int:
    # One character of the text may be written with two or more: '' or \" or \u00e9.
    start = index = value.at.column
    for _ in range(offset):
        if value.style == "'":
            index += 2 if line.startswith("''", index) else 1
        elif line.startswith("\\", index):
            kind_ = line[index + 1 : index + 2]
            index += {"x": 4, "u": 6, "U": 10}.get(kind_, 2)
        else:
            index += 1
    return index - start


def _explain_yaml(value: Scalar, report: Report) -> bool:
    """Whether YAML, not the expression, is at fault: a comment or an escape cut or changed it."""
    at = value.at
    line = report.line(at.end_line)
    if value.plain_style and _COMMENT.match(line, at.end_column - 1) and _open_quote(value.text):
        fixed = line[: at.column - 1].strip() + " " + quoted(line[at.column - 1 :].rstrip())
        report.error(at, f'the text ends before " #" (YAML comment): {fixed}', repaired=fixed)
        return True
    inner = re.search(r"\$\{\{.*?\n.*?\}\}", value.text, re.DOTALL)
    if value.style == '"' and at.line == at.end_line and (inner or "\n" in value.text):
        written = line[at.column - 1 : at.end_column - 1]
        fixed = report.with_text(at, re.sub(r"\\([nt])", r"\\\\\1", written))
        message = "\"\\n\" was read by YAML: write '\\\\n', or single quotes outside"
        report.error(at, message, repaired=fixed)
        return True
    return False


def _open_quote(text: str) -> bool:
    return (
        text.count('"') % 2 == 1 or text.count("'") % 2 == 1 or text.count("${{") > text.count("}}")
    )


def _repaired(value: Scalar, mistake: Mistake, shift: int, report: Report) -> str | None:
    text = mistake.repaired
    if text is None or value.at.line != value.at.end_line or value.style in ("|", ">", "guess"):
        return None
    if shift:
        # What was wrapped as a template was written bare.
        text = text[shift:].removesuffix("}}").rstrip()
    return report.with_text(value.at, written(value, text, report))


def written(value: Scalar, text: str, report: Report) -> str:
    """Another text in the place of a scalar, with the quotes it needs there."""
    before = report.line(value.at.line)[: value.at.column - 1]
    unsafe = _UNSAFE_PLAIN if "{" in before or "[" in before else _UNSAFE_ALONE
    if value.style == "'":
        return "'" + text.replace("'", "''") + "'"
    if value.style == '"':
        return (
            '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
            if '"' in text
            else f'"{text}"'
        )
    return quoted(text) if unsafe.search(text) else text


def _composed(value: ListValue, scope: Scope, report: Report) -> Expression | None:
    parts = [expression(item, scope, report) for item in value.items]
    if not parts:
        report.error(value, "a composed key has at least one part")
    texts = [part.text for part in parts if part is not None]
    if not texts or len(texts) < len(parts):
        return None
    return parse("[" + ", ".join(texts) + "]", scope)
