"""What YAML's own complaints mean: the mistakes that people make, with the line as it should be."""

import re
from collections.abc import Callable

from msgspec import Struct
from ruamel.yaml.error import MarkedYAMLError, StringMark

from reactor.loading.inline import explain_cut, extent, value_before
from reactor.loading.report import Report
from reactor.loading.values import At, quoted

_KEYED = re.compile(r"^(?P<lead>\s*(?:-\s+)*)(?P<key>[\w.-]+):(?P<gap>\s+)(?P<text>\S.*)$")
_ITEM = re.compile(r"^(?P<lead>\s*-\s+)(?P<text>\S.*)$")
_QUOTED_START = re.compile(
    r"""(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')\s*(?P<rest>[^\s#].*)$"""
)
_COMPARED = re.compile(r"(?P<sign>==|!=)\s*(?P<other>[\w.\[\]\"'-]+)$")
_COMMENT_IN_LIST = re.compile(r"[\[,{:]\s*(#[^\],}\s]*)")
_DASH_KEY = re.compile(r"^(\s*)-(\s+)[\w.-]+:")


class Trouble(Struct, frozen=True):
    """A syntax error and the line it stands on; columns count from 0."""

    problem: str
    context: str
    line_number: int
    column: int
    line: str
    opened_line: int
    opened_column: int

    def at(self, column: int | None = None, width: int = 1) -> At:
        """A place on the line."""
        start = (self.column if column is None else column) + 1
        return At(self.line_number, start, self.line_number, start + width)

    @property
    def opened(self) -> At:
        """Where the thing began that did not end well."""
        return At(
            self.opened_line, self.opened_column + 1, self.opened_line, self.opened_column + 2
        )


Rule = Callable[[Trouble, Report], bool]


def explain_syntax(error: MarkedYAMLError, report: Report) -> None:
    """Report a syntax error in words that name the remedy."""
    mark = error.problem_mark or error.context_mark or StringMark("", 0, 0, 0, None, 0)
    opened = error.context_mark or mark
    trouble = Trouble(
        problem=str(error.problem or ""),
        context=str(error.context or ""),
        line_number=mark.line + 1,
        column=mark.column,
        line=report.line(mark.line + 1),
        opened_line=opened.line + 1,
        opened_column=opened.column,
    )
    report.forget_line(trouble.line_number)
    if not any(rule(trouble, report) for rule in _RULES):
        what = trouble.problem or trouble.context or "not readable"
        report.error(trouble.at(), f"this is no YAML: {what}")


def explain_tag(tag: str, at: At, report: Report) -> None:
    """Report a tag: a negation, a word of another system, or one of YAML's own."""
    line = report.line(at.line)
    match = _KEYED.match(line) or _ITEM.match(line)
    text = match["text"] if match else ""
    if text.startswith("!") and not text.startswith("!!"):
        word, _, rest = text[1:].partition(" ")
        if word in ("secret", "env_var"):
            room = "secrets" if word == "secret" else "env"
            meant = f"${{{{ {room}.{rest.strip() or 'NAME'} }}}}"
            report.error(
                at, f"tags are not read: write {meant}", repaired=_line(line, match, meant)
            )
            return
        meant = f"not {text[1:].strip()}"
        fixed = _line(line, match, meant)
        report.error(at, f'! starts a YAML tag; "not" is written: {fixed}', repaired=fixed)
        return
    name = tag.replace("tag:yaml.org,2002:", "!!")
    report.error(at, f"tags are not read: remove {name}, or quote a text that begins with !")


def _tab(trouble: Trouble, report: Report) -> bool:
    if "\\t" not in trouble.problem and "\t" not in trouble.line[: trouble.column + 1]:
        return False
    message = "a tab cannot indent YAML: use spaces, two for each level"
    report.error(trouble.at(), message, repaired=trouble.line.replace("\t", "  "))
    return True


def _star(trouble: Trouble, report: Report) -> bool:
    match = _KEYED.match(trouble.line) or _ITEM.match(trouble.line)
    if match and match["text"].startswith("*"):
        fixed = _line(trouble.line, match, quoted(_uncommented(match["text"])))
        name = f"a {match['key']}" if "key" in match.groupdict() else "a text"
        message = f"{name} that starts with * needs quotes (YAML reads *name as an alias): {fixed}"
        report.error(trouble.at(match.start("text")), message, repaired=fixed)
        return True
    if "alias" in trouble.context and trouble.line[trouble.opened_column :].startswith("*"):
        message = "a text that starts with * needs quotes (YAML reads *name as an alias)"
        explain_cut(trouble.opened, report, message)
        return True
    return False


def _cannot_start(trouble: Trouble, report: Report) -> bool:
    sign = trouble.line[trouble.column : trouble.column + 1]
    if "cannot start any token" not in trouble.problem or sign not in "@`%":
        return False
    text = trouble.line[trouble.column :].strip()
    if "flow" in trouble.context or "{" in trouble.line[: trouble.column]:
        text, _ = extent(trouble.line, trouble.column)
    end = trouble.column + len(text)
    at = trouble.at(width=len(text))
    fixed = report.with_text(trouble.at(width=end - trouble.column), quoted(text))
    report.error(at, f"{sign} cannot start a YAML text: write {fixed}", repaired=fixed)
    return True


def _ends_at_quote(trouble: Trouble, report: Report) -> bool:
    match = _KEYED.match(trouble.line) or _ITEM.match(trouble.line)
    inner = _QUOTED_START.match(match["text"]) if match else None
    if match is None or inner is None:
        return False
    compared = _COMPARED.match(inner["rest"])
    if compared:
        meant = f"{compared['other']} {compared['sign']} {inner['quoted']}"
    else:
        meant = quoted(match["text"].rstrip())
    fixed = _line(trouble.line, match, meant)
    message = f"the text ends at the second quote; turn it round or quote the whole: {fixed}"
    report.error(trouble.at(match.start("text") + inner.start("rest")), message, repaired=fixed)
    return True


def _comment_in_list(trouble: Trouble, report: Report) -> bool:
    if "flow" not in trouble.context:
        return False
    # The rest of the line was a comment, so the list went on below it or to the end of the file.
    lines = [(trouble.opened_line, trouble.opened_column)]
    if "node content" in trouble.problem:
        lines = [(number, 0) for number in range(trouble.line_number, 0, -1)]
    for number, start in lines:
        match = _COMMENT_IN_LIST.search(report.line(number), start)
        if match:
            break
    else:
        return False
    at = At(number, match.start(1) + 1, number, match.end(1) + 1)
    fixed = report.with_text(at, quoted(match[1]))
    report.error(at, f"# begins a comment: quote it: {fixed}", repaired=fixed)
    return True


def _cut_inline(trouble: Trouble, report: Report) -> bool:
    if "flow" not in trouble.context or "expected ','" not in trouble.problem:
        return False
    start = value_before(trouble.line, trouble.column)
    if start is None:
        return False
    in_list = trouble.line[:start].rstrip().endswith(("[", ","))
    text, end = extent(trouble.line, start, in_list=in_list)
    if end <= trouble.column:
        return False
    if "${{" in text:
        message = "${{ }} inside {…} needs quotes"
    elif "'{'" in trouble.problem:
        name = re.search(r"\{[^{}]*\}", text)
        message = f"{name[0] if name else '{ }'} inside {{…}} needs quotes"
    else:
        message = "[ ] and , end an unquoted text inside {…}: quote it"
    if in_list:
        message = message.replace("{…}", "[…]")
    explain_cut(trouble.at(start), report, message, in_list=in_list)
    return True


def _braces(trouble: Trouble, report: Report) -> bool:
    match = _KEYED.match(trouble.line) or _ITEM.match(trouble.line)
    if match is None or not re.match(r"\{\{.*\}\}", match["text"]):
        return False
    meant = re.sub(r"(?<!\$)\{\{\s*(.*?)\s*\}\}", r"${{ \1 }}", match["text"])
    fixed = _line(trouble.line, match, meant)
    message = f"{{{{ }}}} is a YAML map; templates are ${{{{ … }}}}: {fixed}"
    report.error(trouble.at(match.start("text")), message, repaired=fixed)
    return True


def _misaligned(trouble: Trouble, report: Report) -> bool:
    blocks = "expected <block end>" in trouble.problem or "mapping values" in trouble.problem
    indent = len(trouble.line) - len(trouble.line.lstrip())
    if not blocks:
        return False
    for number in range(trouble.line_number - 1, 0, -1):
        match = _DASH_KEY.match(report.line(number))
        if match is None:
            continue
        column = len(match[1]) + 1 + len(match[2])
        off = indent - column
        if abs(off) != 1:
            return False
        where, remedy = ("left", "add a space") if off < 0 else ("right", "remove one")
        message = f"line {trouble.line_number} stands one column {where} of its step: {remedy}"
        fixed = " " * column + trouble.line.strip()
        report.error(trouble.at(indent), message, repaired=fixed)
        return True
    return False


def _second_colon(trouble: Trouble, report: Report) -> bool:
    if "mapping values are not allowed" not in trouble.problem:
        return False
    match = _KEYED.match(trouble.line)
    if match and match.start("text") <= trouble.column:
        fixed = _line(trouble.line, match, quoted(_uncommented(match["text"])))
        message = f'": " inside an unquoted text starts a map: quote it: {fixed}'
        report.error(trouble.at(), message, repaired=fixed)
        return True
    indent = len(trouble.line) - len(trouble.line.lstrip())
    if not re.search(r":(\s|$)", report.line(trouble.line_number - 1)):
        return False
    message = (
        f"line {trouble.line_number} stands deeper than the line above, which has its value already"
    )
    report.error(trouble.at(indent), message)
    return True


def _unclosed(trouble: Trouble, report: Report) -> bool:
    if "quoted scalar" in trouble.context and "end of stream" in trouble.problem:
        report.error(trouble.opened, "the quote that begins here is not closed")
        return True
    if "quoted scalar" in trouble.context and "document separator" in trouble.problem:
        report.error(trouble.opened, "the quote that begins here is not closed")
        return True
    if "flow" in trouble.context and "expected ','" in trouble.problem:
        sign = report.line(trouble.opened_line)[trouble.opened_column : trouble.opened_column + 1]
        other = "}" if sign == "{" else "]"
        report.error(trouble.opened, f"{sign} is not closed: {other} or a comma is missing")
        return True
    return False


def _escape(trouble: Trouble, report: Report) -> bool:
    if "unknown escape" not in trouble.problem and "hexadecimal" not in trouble.problem:
        return False
    start = max(trouble.line.rfind("\\", 0, trouble.column + 1), 0)
    sign = trouble.line[start : start + 2]
    message = f"{sign} is no escape in double quotes: write \\{sign}, or use single quotes outside"
    report.error(trouble.at(start, 2), message)
    return True


def _no_colon(trouble: Trouble, report: Report) -> bool:
    missing = "could not find expected ':'" in trouble.problem
    alone = "expected <block end>" in trouble.problem or "<document start>" in trouble.problem
    above = "mapping values" in trouble.problem
    if not missing and not alone and not above:
        return False
    number = trouble.opened_line if missing else max(1, trouble.line_number - above)
    line = report.line(number)
    text = line.strip()
    indent = len(line) - len(line.lstrip())
    at = At(number, indent + 1, number, indent + 1 + max(1, len(text)))
    key, _, rest = text.lstrip("- ").partition(" ")
    if rest and ":" not in key and re.fullmatch(r"[a-z_.]+", key):
        fixed = text.replace(key, f"{key}:", 1)
        report.error(at, f"a key needs a colon: {fixed}", repaired=fixed)
    elif re.match(r"[\w.-]+:\S", text):
        fixed = text.replace(":", ": ", 1)
        report.error(at, f"a space belongs after the colon of a key: {fixed}", repaired=fixed)
    else:
        message = f"line {number} does not stand where its list or map does: check its indentation"
        report.error(at, message)
    return True


_RULES: tuple[Rule, ...] = (
    _tab,
    _comment_in_list,
    _star,
    _cannot_start,
    _ends_at_quote,
    _braces,
    _cut_inline,
    _misaligned,
    _second_colon,
    _unclosed,
    _escape,
    _no_colon,
)


def _line(line: str, match: re.Match[str] | None, text: str) -> str:
    if match is None:
        return text
    return line[: match.start("text")].strip() + " " + text


def _uncommented(text: str) -> str:
    return re.split(r"\s+#", text, maxsplit=1)[0].rstrip()
