"""The `csv.…` actions on real files."""

import pytest

from reactor.connectors.csv import csv_read, csv_write
from reactor.errors import ActionFailed


@pytest.fixture
def table(tmp_path):
    """Writes `t.csv`."""

    def write(text: str, encoding: str = "utf-8") -> None:
        (tmp_path / "t.csv").write_text(text, encoding=encoding)

    return write


async def test_rows_are_maps(attempt, table):
    """The first row names the columns; quotes, line breaks and a byte order mark are understood."""
    table('id,name\n1,"Ann, ""A"""\n\n2,"two\nlines"\n3\n', "utf-8-sig")

    output = await attempt.do(csv_read, {"path": "t.csv"})

    assert output == [
        {"id": "1", "name": 'Ann, "A"'},
        {"id": "2", "name": "two\nlines"},
        {"id": "3", "name": None},
    ]


async def test_columns_have_types(attempt, table):
    """Typed columns are values; an empty field is null."""
    table("n;x;ok;t\n7;1.5;yes;\n;;;05\n")
    types = {"n": "integer", "x": "number", "ok": "boolean", "t": "string"}

    output = await attempt.do(csv_read, {"path": "t.csv", "delimiter": ";", "types": types})

    assert output == [
        {"n": 7, "x": 1.5, "ok": True, "t": ""},
        {"n": None, "x": None, "ok": None, "t": "05"},
    ]


@pytest.mark.parametrize(
    ("header", "rows"),
    [(False, [["1", "a"]]), (["id", "name"], [{"id": "1", "name": "a"}])],
)
async def test_a_header_may_be_missing(attempt, table, header, rows):
    """Without names rows are lists; names may be written in the flow."""
    table("1,a\n")

    assert await attempt.do(csv_read, {"path": "t.csv", "header": header}) == rows


@pytest.mark.parametrize(
    ("text", "types", "message"),
    [
        ("n\nx\n", {"n": "integer"}, "t.csv:2: n: 'x' is no integer"),
        ("n\n1_0\n", {"n": "integer"}, "is no integer"),
        ("n\nnan\n", {"n": "number"}, "is no number"),
        ("n\nmaybe\n", {"n": "boolean"}, "is no boolean"),
        ("n\n1,2\n", {}, "t.csv:2: has 2 fields, but the table has 1 columns"),
        ('n\n"open\n', {}, "unexpected end of data"),
        ("n\n1\n", {"m": "integer"}, "has no column 'm', only n"),
    ],
)
async def test_a_bad_table_says_where(attempt, table, text, types, message):
    """What does not fit names the line and the column."""
    table(text)

    with pytest.raises(ActionFailed, match=message) as raised:
        await attempt.do(csv_read, {"path": "t.csv", "types": types})

    assert not raised.value.transient


async def test_another_encoding_is_refused(attempt, table):
    """What is not UTF-8 is no table."""
    table("name\ngrün\n", "latin-1")

    with pytest.raises(ActionFailed, match="is not UTF-8"):
        await attempt.do(csv_read, {"path": "t.csv"})


async def test_maps_are_written(attempt, tmp_path):
    """Columns stand in the order of their first appearance; values have one form."""
    rows = [{"id": 1, "ok": True}, {"id": None, "name": 'a,"b"', "more": [1]}]

    output = await attempt.do(csv_write, {"path": "out/t.csv", "rows": rows})

    assert output == {"path": "out/t.csv", "rows": 2}
    assert (tmp_path / "out/t.csv").read_text() == ('id,ok,name,more\n1,true,,\n,,"a,""b""",[1]\n')


async def test_lists_are_written(attempt, tmp_path):
    """Lists are rows as they are."""
    await attempt.do(csv_write, {"path": "t.csv", "rows": [[1, "a"], [2]], "delimiter": "\t"})

    assert (tmp_path / "t.csv").read_text() == "1\ta\n2\n"


async def test_data_does_not_climb_out(attempt):
    """Tables obey the same rules for paths as all files."""
    with pytest.raises(ActionFailed) as raised:
        await attempt.do(csv_read, {"path": "in/../../x"}, data={"path": "in/"})

    assert raised.value.kind == "denied"


def test_types_need_names():
    """`types` without column names is told at load."""
    assert csv_read.check is not None
    complaints = list(csv_read.check({"path": "a", "header": False, "types": {"a": "integer"}}))

    assert [place for place, _ in complaints] == [("types",)]
