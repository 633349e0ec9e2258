"""Verdicts as JUnit XML, which continuous integration reads."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from msgspec import Struct

from reactor.problem import render_text
from reactor.testing.trial import Verdict


class Timed(Struct, frozen=True):
    """A verdict and how long it took."""

    verdict: Verdict
    secs: float


def junit(found: Sequence[Timed]) -> str:
    """One test suite with a test case for each verdict, as JUnit and its readers have it."""
    failed = sum(not each.verdict.ok for each in found)
    root = Element("testsuites")
    suite = SubElement(
        root,
        "testsuite",
        name="reactor",
        tests=str(len(found)),
        failures=str(failed),
        errors="0",
        skipped="0",
        time=f"{sum(each.secs for each in found):.3f}",
    )
    for each in found:
        test = each.verdict.test
        case = SubElement(
            suite,
            "testcase",
            classname=test.flow.name,
            name=test.name,
            file=test.place.file,
            line=str(test.place.line),
            time=f"{each.secs:.3f}",
        )
        if not each.verdict.ok:
            first = each.verdict.problems[0]
            text = "\n".join([*map(render_text, each.verdict.problems), *each.verdict.happened])
            SubElement(case, "failure", message=_plain(first.message)).text = _plain(text)
    indent(root)
    return tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _plain(text: str) -> str:
    """The text without what XML does not allow."""
    return "".join(each for each in text if each.isprintable() or each in "\n\t")
