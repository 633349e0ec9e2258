"""`reactor test`: what is run, what is printed, how it ends."""

import json
import re
from xml.etree import ElementTree as ET

import pytest

from tests.cli.conftest import run, run_at_terminal

FLOW = """\
flow: greet
when:
  event: {type: go}
only_if: event.data.name
do:
  - id: send
    http: {post: "http://a.test/", json: "${{ event.data.name }}"}
tests:
  - name: a name is sent
    given: [{event: {data: {name: Ada}}}]
    mock: {send: {output: {status: 200}}}
    expect: {execution: ok, steps: {send: {input: {json: Ada}}}}
"""
BESIDE = """\
tests:
  - name: nobody is not
    given: [{event: {data: {}}}]
    expect: {execution: none}
"""
WRONG = BESIDE.replace("none", "ok")


@pytest.fixture
def flows(tmp_path):
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "greet.yaml").write_text(FLOW)
    (folder / "greet.test.yaml").write_text(BESIDE)
    return folder


def test_tests_in_the_flow_and_beside_it_are_run(flows):
    """A line for each file, a dot for each test, and exit 0."""
    ran = run("test", "--flows", str(flows))

    assert ran.code == 0
    assert f"{flows}/greet.yaml ." in ran.lines
    assert f"{flows}/greet.test.yaml ." in ran.lines
    assert re.fullmatch(r"2 passed in [0-9.]+s", ran.lines[-1])


def test_a_failure_shows_its_place_and_what_happened(flows):
    """The expectation that was not met is named, and exit is 1."""
    (flows / "greet.test.yaml").write_text(WRONG)

    ran = run("test", "--flows", str(flows))

    assert ran.code == 1
    assert "FAILED greet: nobody is not" in ran.lines
    assert f"{flows}/greet.test.yaml:4:14: execution: nothing was started" in ran.out
    assert "  > event: stopped by only_if: event.data.name (event.data.name" not in ran.out
    assert ran.lines[-1].startswith("1 failed, 1 passed in ")


@pytest.mark.parametrize(
    ("paths", "count"),
    [(["greet.yaml"], 2), (["greet.test.yaml"], 1), (["greet.yaml", "greet.test.yaml"], 2)],
)
def test_files_may_be_named(flows, paths, count):
    """A flow file brings its tests, a file of tests is run alone; none is run twice."""
    ran = run("test", *(str(flows / path) for path in paths))

    assert ran.code == 0
    assert ran.lines[-1].startswith(f"{count} passed")


def test_a_filter_chooses_tests(flows):
    """-k takes tests whose flow or name has the text in it."""
    ran = run("test", "--flows", str(flows), "-k", "NOBODY", "--json")

    assert [json.loads(line)["test"] for line in ran.lines] == ["nobody is not"]


def test_a_filter_that_chooses_none_is_exit_4(flows):
    """A typo in the filter is not a success."""
    ran = run("test", "--flows", str(flows), "-k", "xyzzy")

    assert ran.code == 4
    assert "no test has 'xyzzy' in its name" in ran.err


def test_tests_for_programs(flows):
    """--json prints one test a line, with its problems."""
    (flows / "greet.test.yaml").write_text(WRONG)

    ran = run("test", str(flows / "greet.test.yaml"), "--json")

    (found,) = [json.loads(line) for line in ran.lines]
    assert found["flow"] == "greet"
    assert (found["ok"], found["line"]) == (False, 2)
    assert found["problems"][0]["line"] == 4


def test_a_report_for_continuous_integration(flows, tmp_path):
    """--junit writes a test case for each test, a failure with its text where there is one."""
    (flows / "greet.test.yaml").write_text(WRONG)
    report = tmp_path / "report.xml"

    ran = run("test", "--flows", str(flows), "--junit", str(report))

    suite = ET.parse(report).getroot()[0]
    assert ran.code == 1
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    cases = {case.get("name"): case for case in suite}
    assert cases["a name is sent"].find("failure") is None
    failure = cases["nobody is not"].find("failure")
    assert failure is not None
    assert "nothing was started" in (failure.text or "")


def test_a_report_that_cannot_be_written_is_exit_2(flows, tmp_path):
    """The folder of the report must be there."""
    ran = run("test", "--flows", str(flows), "--junit", str(tmp_path / "no" / "report.xml"))

    assert ran.code == 2
    assert "--junit" in ran.err


def test_mistakes_in_a_test_are_told_before_it_runs(flows):
    """A file with mistakes is shown as `check` shows it, the others are run, exit is 3."""
    (flows / "greet.test.yaml").write_text(BESIDE.replace("given", "givn"))

    ran = run("test", "--flows", str(flows))

    assert ran.code == 3
    assert "no key 'givn' in a test; did you mean given" in ran.out
    assert "1 passed, 1 file with mistakes" in ran.lines[-1]


def test_check_reads_tests_too(flows):
    """A mistake in a file beside is found by `check`."""
    (flows / "greet.test.yaml").write_text(BESIDE.replace("{event:", "{evnt:"))

    ran = run("check", "--flows", str(flows))

    assert ran.code == 3
    assert "the flow has no trigger 'evnt'; did you mean event" in ran.out


def test_tests_without_their_flow_say_so(flows):
    """A file of tests names the file that it is about."""
    (flows / "lost.test.yaml").write_text(BESIDE)

    ran = run("test", str(flows / "lost.test.yaml"))

    assert ran.code == 3
    assert "there is no flow for these tests: lost.yaml" in ran.out


def test_a_flow_with_mistakes_is_told_alone(flows):
    """Its tests say nothing as long as the flow does not load."""
    (flows / "greet.yaml").write_text(FLOW.replace("only_if", "only"))

    ran = run("test", str(flows / "greet.test.yaml"))

    assert ran.code == 3
    assert "no key 'only' on a flow" in ran.out


def test_a_file_with_several_flows_wants_a_name(flows):
    """Each test beside two flows says which one it is of."""
    other = FLOW.replace("flow: greet", "flow: other").partition("tests:")[0]
    (flows / "greet.yaml").write_text(f"{FLOW}---\n{other}")
    asked = run("test", "--flows", str(flows))
    (flows / "greet.test.yaml").write_text(
        BESIDE.replace("    given", "    flow: other\n    given")
    )

    ran = run("test", "--flows", str(flows), "--json")

    assert "flow is missing: it is one of greet, other" in asked.out
    assert [json.loads(line)["flow"] for line in ran.lines] == ["greet", "other"]


def test_no_tests_are_no_failure(tmp_path):
    """A folder without tests says how they are written."""
    ran = run("test", str(tmp_path))

    assert ran.code == 0
    assert "reactor help testing" in ran.out


def test_verdicts_have_colours_at_a_terminal(flows):
    """Passed is green."""
    ran = run_at_terminal("test", "--flows", str(flows))

    assert "\x1b[32m2 passed" in ran.out
