"""What people see at a terminal."""

import re

from reactor.cli.output import table
from tests.web.admin.daemon import EVENT, FAILED, WAITING, evt, exe

CODES = re.compile(r"\x1b\[[0-9;]*m")


def plain(text):
    """A text without its colours."""
    return CODES.sub("", text)


def test_a_list_is_a_table(look):
    """A heading, aligned columns, states in colour."""
    ran = look("sources")

    assert plain(ran.out).splitlines() == [
        "ID          STATE     FLOWS      POSITION   DETAIL",
        "http:1      up        hello",
        'kafka:9f2c  retrying  hello odd  {"0": 41}  no broker answers',
    ]
    assert "\x1b[32mup" in ran.out


def test_nobody_wants_colours(look, monkeypatch):
    """NO_COLOR is obeyed, the table stays."""
    monkeypatch.setenv("NO_COLOR", "1")

    ran = look("flows")

    assert "\x1b" not in ran.out
    assert ran.lines[0] == "FLOW   STATE   TRIGGERS        OPEN                 FILE"


def test_json_is_the_same_at_a_terminal(look, ask):
    """--json prints the same everywhere."""
    assert look("sources", "--json").out == ask("sources", "--json").out


def test_a_narrow_table_gives_way_at_its_end():
    """The last column is cut with an ellipsis; the others stay whole."""
    lines = table(("id", "detail"), [("a", "x" * 50)], width=30)

    assert [plain(line) for line in lines] == ["ID  DETAIL", f"a   {'x' * 25}…"]


def test_control_characters_are_shown_not_obeyed():
    """What an event says cannot move the cursor."""
    lines = table(("id",), [("a\x1b[2Jb\nc",)], width=80)

    assert lines[1] == "a\\x1b[2Jb\\nc"


def test_an_execution_is_shown_with_its_steps(look):
    """Steps with a mark, how long they took, what went in and came out."""
    ran = look("show", exe())

    assert plain(ran.out) == (
        f"execution  {exe()}\n"
        "flow       hello\n"
        f"event      {evt()}\n"
        "state      ok\n"
        "created    2026-01-01 12:00:00\n"
        "started    2026-01-01 12:00:00\n"
        "finished   2026-01-01 12:00:01\n"
        "took       1.25s\n"
        "\n"
        "✓ greet  ok  250ms\n"
        "    input   hello Ada\n"
        "\n"
        "✓ notify  ok  2 attempts  250ms\n"
        '    output  {"status": 200}\n'
    )


def test_a_failure_says_where_and_why(look):
    """The error of an execution names its step."""
    ran = look("show", exe(FAILED))

    assert "error      step notify: 503 from slack.test (http 503)" in plain(ran.out)
    assert "✗ notify  failed  2 attempts  250ms" in plain(ran.out)


def test_a_waiting_step_shows_its_last_error(look):
    """A step between two attempts waits, and says what went wrong so far."""
    ran = look("show", exe(WAITING))

    assert "… notify  waiting" in plain(ran.out)
    assert "error   step notify: 503 from slack.test" in plain(ran.out)


def test_why_shows_values(look):
    """Each flow's decision with the parts of its conditions."""
    ran = look("why", evt(EVENT))

    assert plain(ran.out) == (
        f"event     {evt()}\n"
        "received  2026-01-01 12:00:00\n"
        "\n"
        "hello (http)  started\n"
        f"    execution  {exe()}\n"
        "\n"
        "big-orders (http)  stopped: only_if: event.body.total > 9\n"
        "    event.body.total      = 7\n"
        "    event.body.total > 9  = false\n"
        "\n"
        "odd (http)  error\n"
        "    text < number\n"
    )


def test_long_work_says_how_far_it_is(look):
    """At a terminal a line counts, and is gone at the end."""
    ran = look("retry", "--where", "error.status == 503")

    assert "retrying 1 of 1 …" in ran.out
    assert ran.out.rsplit("\r\x1b[K", 1)[1].startswith("exe_")


def test_a_backup_says_how_large_it_is(look, tmp_path):
    """The copy's name and size, for people."""
    ran = look("backup", str(tmp_path / "copy.db"))

    assert ran.lines[-1].endswith("copy.db  1.5KiB")
