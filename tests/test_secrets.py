"""Secrets are found where they should be, and shown nowhere."""

import base64
import json
import logging
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from reactor.errors import NotFound
from reactor.secrets import MOST_MASKED, Command, Redactor, Secret, Secrets

VALUE = "s3cr3t/+value"


class Hand:
    """A clock turned by hand."""

    secs = 0.0

    def now_ms(self) -> int:
        return int(self.secs * 1000)

    def monotonic_secs(self) -> float:
        return self.secs


def secrets(**given_: Any) -> Secrets:
    """Secrets that look only where the test says."""
    return Secrets(**{"redactor": Redactor(), "clock": Hand(), "environ": {}, **given_})


def knowing(*values: str) -> Redactor:
    """A redactor that has learned the values."""
    redactor = Redactor()
    for number, value in enumerate(values):
        redactor.learn(f"s{number}", value)
    return redactor


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    """A file as an operator leaves it."""
    path.write_text(text)
    path.chmod(mode)
    return path


def program(tmp_path: Path, body: str) -> Command:
    """A command that runs a few lines of Python."""
    return Command(args=(sys.executable, str(write(tmp_path / "ask.py", body))))


def test_a_secret_hides_itself():
    """Neither repr, str nor format gives the value; only reveal does."""
    secret = Secret(VALUE)

    assert VALUE not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == VALUE


def test_a_file_is_a_secret_without_its_last_newline(tmp_path):
    """One line end is taken off, no more."""
    write(tmp_path / "one", "a value\n")
    write(tmp_path / "two", "a value\n\n")
    write(tmp_path / "dos", "a value\r\n")
    found = secrets(folder=tmp_path)

    assert [found.get(name) for name in ("one", "two", "dos")] == [
        "a value",
        "a value\n",
        "a value",
    ]


def test_credentials_come_before_the_folder_and_the_folder_before_variables(tmp_path):
    """The first place that has the name counts."""
    for place in ("cred", "folder"):
        (tmp_path / place).mkdir()
    write(tmp_path / "cred" / "a", "of systemd")
    write(tmp_path / "folder" / "a", "of the folder")
    write(tmp_path / "folder" / "b", "of the folder")
    environ = {
        "CREDENTIALS_DIRECTORY": str(tmp_path / "cred"),
        **dict.fromkeys(("a", "b", "c"), "of the environment"),
    }
    found = secrets(folder=tmp_path / "folder", environ=environ, variables=["a", "b", "c"])

    assert [found.get(name) for name in "abc"] == [
        "of systemd",
        "of the folder",
        "of the environment",
    ]


def test_only_listed_variables_are_secrets():
    """A variable counts when it is listed, by its own or its upper-case name."""
    found = secrets(
        environ={"GITHUB_HOOK": "hook value", "PATH": "/bin"}, variables=["GITHUB_HOOK"]
    )

    assert found.get("github_hook") == "hook value"
    with pytest.raises(NotFound):
        found.get("PATH")


def test_a_missing_secret_says_where_it_was_looked_for(tmp_path):
    """The error names every place and the remedy."""
    found = secrets(folder=tmp_path, variables=["HOOK"])

    with pytest.raises(NotFound) as caught:
        found.get("hook")

    assert str(caught.value) == (
        f"secret 'hook' is nowhere: looked for {tmp_path}/hook, variable HOOK; write it to "
        f"{tmp_path}/hook, or list a variable HOOK under secrets.env"
    )


@pytest.mark.parametrize("name", ["../passwd", "a/b", "", ".", "..", "a\0b", "/etc/passwd"])
def test_a_name_is_no_path(tmp_path, name):
    """A name that climbs out of the folder is refused before anything is opened."""
    write(tmp_path / "passwd", "not yours")
    (tmp_path / "folder").mkdir()

    with pytest.raises(NotFound, match="is no name of a secret"):
        secrets(folder=tmp_path / "folder").get(name)


def test_an_empty_secret_is_an_error(tmp_path):
    """An empty file is not an empty key, and no later place answers for it."""
    write(tmp_path / "hook", "\n")
    found = secrets(folder=tmp_path, environ={"hook": "of the environment"}, variables=["hook"])

    with pytest.raises(NotFound, match="is empty"):
        found.get("hook")


def test_a_file_that_is_no_text_is_an_error(tmp_path):
    """Bytes that are not UTF-8 are refused, not guessed."""
    (tmp_path / "hook").write_bytes(b"\xff\xfe")

    with pytest.raises(NotFound, match="is not UTF-8 text"):
        secrets(folder=tmp_path).get("hook")


def test_a_rotated_secret_is_read_again(tmp_path):
    """A changed file gives its new value, and the old one stays masked."""
    redactor = Redactor()
    found = secrets(folder=tmp_path, redactor=redactor)
    write(tmp_path / "hook", "the old value")
    before = found.get("hook")

    write(tmp_path / "new", "the new value").rename(tmp_path / "hook")

    assert (before, found.get("hook")) == ("the old value", "the new value")
    assert redactor.redact_text("the old value, the new value") == "***, ***"


def test_a_deleted_secret_is_gone(tmp_path):
    """What was read once is not remembered after its file went."""
    found = secrets(folder=tmp_path)
    write(tmp_path / "hook", "a value").exists()
    found.get("hook")

    (tmp_path / "hook").unlink()

    with pytest.raises(NotFound):
        found.get("hook")


def test_a_file_that_others_may_read_is_warned_about_once(tmp_path, caplog):
    """The warning names the file, when it is read and not at each use."""
    found = secrets(folder=tmp_path)
    write(tmp_path / "hook", "a value", 0o644)

    found.get("hook")
    found.get("hook")

    assert [record.__dict__["file"] for record in caplog.records] == [str(tmp_path / "hook")]


def test_the_command_is_asked_last_and_its_answer_is_kept_a_while(tmp_path):
    """The name is the last argument; within `keep` the program is not run again."""
    count = tmp_path / "count"
    body = f"import sys; open({str(count)!r}, 'a').write('x'); print('for ' + sys.argv[-1])"
    clock = Hand()
    found = secrets(command=program(tmp_path, body), clock=clock)

    first = found.get("hook")
    found.get("hook")
    clock.secs = 61.0
    found.get("hook")

    assert first == "for hook"
    assert count.read_text() == "xx"


def test_a_failing_command_says_how_it_ended_and_not_what_it_printed(tmp_path):
    """The exit code is told; its output may be half a secret."""
    body = "import sys; print('half a secret'); sys.exit('and more'); "
    found = secrets(command=program(tmp_path, body))

    with pytest.raises(NotFound) as caught:
        found.get("hook")

    assert "ended with 1" in str(caught.value)
    assert "half a secret" not in str(caught.value)
    assert "and more" not in str(caught.value)


def test_a_command_gets_the_environment_without_the_frozen_programs_own(tmp_path):
    """The library path of a frozen build does not reach the command; the original one does."""
    body = "import os; print([os.environ.get(n) for n in ('LD_LIBRARY_PATH', '_PYI_X')])"
    environ = {"LD_LIBRARY_PATH": "/frozen", "LD_LIBRARY_PATH_ORIG": "/own", "_PYI_X": "x"}

    assert secrets(command=program(tmp_path, body), environ=environ).get("a") == "['/own', None]"


async def test_prepare_asks_the_command_before_it_is_needed(tmp_path):
    """After prepare the value, or the failure, is at hand without another run."""
    count = tmp_path / "count"
    body = f"""import sys
open({str(count)!r}, 'a').write(sys.argv[-1])
print('the value') if sys.argv[-1] == 'a' else sys.exit(1)"""
    found = secrets(command=program(tmp_path, body))

    await found.prepare(["a", "b", "../c"])

    assert found.get("a") == "the value"
    with pytest.raises(NotFound):
        found.get("b")
    assert count.read_text() == "ab"


def test_a_redactor_that_knows_nothing_gives_the_same_object_back():
    """Without secrets nothing is walked or copied."""
    value = {"a": ["b"]}

    assert Redactor().redact(value) is value


def test_a_value_without_secrets_is_not_copied():
    """Redaction of a clean value gives the same object back."""
    value = {"a": ["b", 1, None, 2.5]}

    assert knowing(VALUE).redact(value) is value


def test_secrets_are_masked_wherever_they_stand():
    """Texts, bytes, keys, lists, tuples and structs are searched."""

    class Ran(Struct):
        stdout: str

    redactor = knowing(VALUE)
    value = {
        f"key {VALUE}": [f"a {VALUE} b", (VALUE, 1)],
        "bytes": f"x{VALUE}y".encode(),
        "struct": Ran(stdout=VALUE),
    }

    assert redactor.redact(value) == {
        "key ***": ["a *** b", ("***", 1)],
        "bytes": b"x***y",
        "struct": {"stdout": "***"},
    }


@given(
    st.text(min_size=6, max_size=40).filter(str.isprintable),
    st.binary(max_size=5),
    st.binary(max_size=5),
)
def test_a_secret_inside_base64_is_masked(value, before, after):
    """At each alignment nothing is left that decodes to the value."""
    encoded = base64.b64encode(before + value.encode() + after).decode()

    shown = knowing(value).redact_text(encoded)

    assert "***" in shown
    assert len(shown.replace("***", "")) <= len(encoded) - len(value.encode()) * 8 // 6 + 2


@given(st.text(st.characters(codec="utf-8"), min_size=6, max_size=40))
def test_a_secret_quoted_or_escaped_is_masked(value):
    """The URL-quoted and JSON-escaped forms are masked, also in JSON within JSON."""
    redactor = knowing(value)
    inner = json.dumps({"token": value})

    assert value not in redactor.redact_text(quote(value, safe=""))
    assert "***" in redactor.redact_text(quote(value, safe="").lower() + quote(value))
    assert redactor.redact({"body": inner}) == {"body": '{"token": "***"}'}


def test_url_safe_base64_is_masked_too():
    """`-` and `_` in place of `+` and `/` hide nothing."""
    value = "??>>??>>??>>"

    shown = knowing(value).redact_text(base64.urlsafe_b64encode(value.encode()).decode())

    assert shown == "***"


def test_the_longer_of_two_secrets_goes_first():
    """A secret that contains another leaves no rest behind."""
    assert knowing("abcdef", "abcdef-and-more").redact_text("abcdef-and-more") == "***"


def test_lines_of_a_long_secret_are_masked_one_by_one():
    """A key shown line by line is masked; the lines that every key has are not."""
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhk\nG9w0BAQEFAASCBKcwg\n-----END KEY-----"

    shown = knowing(key).redact_text("-----BEGIN KEY-----: MIIEvQIBADANBgkqhk")

    assert shown == "-----BEGIN KEY-----: ***"


def test_a_short_secret_is_warned_about_once_and_not_searched_for(caplog):
    """Five letters occur everywhere: they stay, and a warning names the secret."""
    redactor = Redactor()
    with caplog.at_level(logging.WARNING):
        redactor.learn("pin", "12345")
        redactor.learn("pin", "23456"[:5])

    assert redactor.redact_text("12345") == "12345"
    assert [record.__dict__["secret"] for record in caplog.records] == ["pin"]


def test_a_redactor_does_not_grow_for_ever():
    """The oldest values are forgotten when more than the bound have rotated by."""
    redactor = Redactor()
    redactor._forms_of = {f"value-{n}": frozenset() for n in range(MOST_MASKED)}

    redactor.learn("token", "the newest value")

    assert len(redactor._forms_of) == MOST_MASKED
    assert redactor.redact_text("the newest value") == "***"
