"""When schedules are due, asked without a daemon."""

import json

import click
import pytest

from tests.cli.conftest import run, run_at_terminal

BACKUP = """\
flow: backup
when:
  - schedule: {cron: "30 2 * * *", tz: Europe/Warsaw}
  - id: often
    schedule: {every: 12h}
  - startup: {}
do:
  - log: hi
"""


@pytest.fixture
def folder(tmp_path):
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "backup.yaml").write_text(BACKUP)
    return flows


def test_the_next_times_of_each_schedule_in_order(folder):
    """Rows of flow, trigger and due time, the earliest first; a gap is told as it is."""
    ran = run("next", "--flows", str(folder), "--count", "2", "--after", "2026-03-28T12:00:00Z")

    assert ran.code == 0
    assert ran.lines == [
        "backup\toften\t2026-03-29T00:00:00Z",
        "backup\tschedule\t2026-03-29T03:00:00+02:00",
        "backup\toften\t2026-03-29T12:00:00Z",
        "backup\tschedule\t2026-03-30T02:30:00+02:00",
    ]


def test_programs_get_objects(folder):
    """With --json each line is one due time."""
    ran = run("next", "--flows", str(folder), "--count", "1", "--after", "2026-01-01", "--json")

    rows = [json.loads(line) for line in ran.lines]
    assert {row["trigger"] for row in rows} == {"often", "schedule"}
    assert all(set(row) == {"flow", "trigger", "due"} for row in rows)


def test_one_flow_may_be_asked(folder):
    """--flow leaves the others out, and knows their names."""
    (folder / "other.yaml").write_text(BACKUP.replace("backup", "other"))

    assert {line.split("\t")[0] for line in run("next", "--flows", str(folder)).lines} == {
        "backup", "other",
    }  # fmt: skip
    asked = run("next", "--flows", str(folder), "--flow", "other")
    assert {line.split("\t")[0] for line in asked.lines} == {"other"}
    assert run("next", "--flows", str(folder), "--flow", "othr").code == 4


def test_a_disabled_flow_is_never_due(folder):
    """Its schedules are left out."""
    (folder / "backup.yaml").write_text(BACKUP.replace("when:", "enabled: false\nwhen:", 1))

    assert run("next", "--flows", str(folder)).lines == []


def test_the_default_zone_is_that_of_the_settings(folder, monkeypatch):
    """A schedule without tz goes by `defaults.tz`."""
    monkeypatch.setenv("REACTOR_DEFAULTS_TZ", "Asia/Kathmandu")

    ran = run("next", "--flows", str(folder), "--count", "1", "--after", "2026-03-28T12:00:00Z")

    assert ran.lines[0] == "backup\toften\t2026-03-29T00:00:00+05:45"


def test_a_broken_file_is_named(folder):
    """What loads is shown; the rest is told on stderr, with exit code 3."""
    (folder / "bad.yaml").write_text("flow: bad\n")

    ran = run("next", "--flows", str(folder), "--count", "1")

    assert ran.code == 3
    assert len(ran.lines) == 2
    assert "bad.yaml does not load: `reactor check` says why" in ran.err


def test_a_time_that_is_none_is_refused(folder):
    """The error shows how a time is written."""
    ran = run("next", "--flows", str(folder), "--after", "tomorrow")

    assert ran.code == 2
    assert "such as 2026-03-28" in ran.err


def test_people_get_a_table(folder):
    """At a terminal the columns have names."""
    ran = run_at_terminal("next", "--flows", str(folder), "--count", "1")

    assert click.unstyle(ran.lines[0]).split() == ["FLOW", "TRIGGER", "DUE"]
