"""A mistake as the user sees it."""

from reactor.problem import Place, Problem, render_text

PLACE = Place("flows/a.yaml", 7, 3)


def test_a_problem_in_one_line_begins_with_its_place():
    """`file:line:column: message`, the form that editors jump to."""
    assert str(Problem(PLACE, "= is ==")) == "flows/a.yaml:7:3: = is =="


def test_a_problem_without_its_line_is_one_line():
    """Where the source is unknown, place and message must do."""
    assert render_text(Problem(PLACE, "= is ==")) == "flows/a.yaml:7:3: = is =="


def test_a_problem_shows_line_caret_and_repair():
    """The caret stands below the fault, the repaired line below the caret."""
    problem = Problem(
        Place("a.yaml", 12, 3),
        "no key 'if' on a step; a condition is only_if",
        snippet="- if: event.body.x > 3",
        width=2,
        repaired="- only_if: event.body.x > 3",
    )

    assert render_text(problem) == (
        "a.yaml:12:3: no key 'if' on a step; a condition is only_if\n"
        "   12 | - if: event.body.x > 3\n"
        "      |   ^^\n"
        "  fix | - only_if: event.body.x > 3"
    )


def test_a_repair_of_two_lines_keeps_them_aligned():
    """Each repaired line stands in the column of the source."""
    problem = Problem(PLACE, "m", snippet="a", repaired="b\nc")

    assert render_text(problem).splitlines()[-2:] == ["  fix | b", "  fix | c"]


def test_a_caret_follows_tabs():
    """A tab before the fault is a tab before the caret, so that they line up."""
    problem = Problem(Place("a.yaml", 1, 2), "tabs", snippet="\tx: 1")

    assert render_text(problem).splitlines()[2] == "    | \t^"


def test_a_warning_says_that_it_is_one():
    """What is no error is marked before its message."""
    problem = Problem(PLACE, "quote the text", severity="warning")

    assert render_text(problem) == "flows/a.yaml:7:3: warning: quote the text"
