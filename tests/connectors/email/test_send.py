"""The action `email.send` against a real mail server in this process."""

import asyncio

import pytest

from reactor.connectors.email.action import send
from reactor.errors import ActionFailed
from reactor.plugin.context import Connection
from tests.connectors.email.conftest import Office, opened

HELLO = {"to": "ann@example.org", "subject": "Hello", "text": "All is well."}


async def failing(attempt, message):
    """What the step fails with."""
    with pytest.raises(ActionFailed) as raised:
        await attempt.do(send, message)
    return raised.value


async def test_a_message_is_handed_over(attempt, mail, office):
    """The server has it for the recipient, with its headers and its text."""
    mail(office, tls="none")

    sent = await attempt.do(send, HELLO)

    assert sent["recipients"] == office.taken[0].rcpt_tos == ["ann@example.org"]
    assert office.taken[0].mail_from == "shop@example.org"
    assert office.message()["subject"] == "Hello"
    assert office.message()["message-id"] == sent["message_id"]
    assert office.message()["date"] == "Tue, 14 Nov 2023 22:13:20 +0000"
    assert office.message().get_content() == "All is well.\r\n"


async def test_a_repeat_is_the_same_message(attempt, mail, office):
    """Each attempt of a step sends the same Message-ID."""
    mail(office, tls="none")

    first = await attempt.do(send, HELLO)
    second = await attempt.do(send, HELLO)

    assert first["message_id"] == second["message_id"]


async def test_text_and_html_are_alternatives(attempt, mail, office):
    """Readers choose; letters of all languages arrive."""
    mail(office, tls="none")

    await attempt.do(send, {**HELLO, "subject": "Grüße 🎉", "text": "grün", "html": "<b>grün</b>"})

    message = office.message()
    assert message["subject"] == "Grüße 🎉"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content().strip() for part in message.iter_parts()] == ["grün", "<b>grün</b>"]


async def test_all_recipients_are_told_and_blind_ones_are_not_shown(attempt, mail, office):
    """`to`, `cc` and `bcc` receive it; only the first two stand in it."""
    mail(office, tls="none")
    message = {
        **HELLO,
        "to": ["Ann <ann@example.org>", "bob@example.org"],
        "cc": "cid@example.org",
        "bcc": ["dan@example.org", "ann@example.org"],
        "from": "Shop Ä <other@example.org>",
        "reply_to": "help@example.org",
    }

    sent = await attempt.do(send, message)

    names = [f"{name}@example.org" for name in ("ann", "bob", "cid", "dan")]
    assert sent["recipients"] == office.taken[0].rcpt_tos == names
    assert office.taken[0].mail_from == "other@example.org"
    assert office.message()["to"] == "Ann <ann@example.org>, bob@example.org"
    assert office.message()["cc"] == "cid@example.org"
    assert office.message()["from"] == "Shop Ä <other@example.org>"
    assert office.message()["reply-to"] == "help@example.org"
    assert "dan" not in office.message().as_string()


async def test_files_go_along(attempt, mail, office, tmp_path):
    """Files of the disk and content of the flow, each with a name and a type."""
    (tmp_path / "report.csv").write_bytes(b"a;b\n")
    mail(office, tls="none")

    await attempt.do(
        send,
        {
            **HELLO,
            "attach": [
                "report.csv",
                {"content": {"a": [1]}, "name": "größe.json"},
                {"path": "report.csv", "name": "x.bin", "type": "application/x-own"},
            ],
        },
    )

    found = [
        (part.get_filename(), part.get_content_type(), part.get_payload(decode=True))
        for part in office.message().iter_attachments()
    ]
    assert found == [
        ("report.csv", "text/csv", b"a;b\n"),
        ("größe.json", "application/json", b'{"a":[1]}'),
        ("x.bin", "application/x-own", b"a;b\n"),
    ]


async def test_data_chooses_no_file(attempt, mail, office, tmp_path):
    """A path that came from data is refused, as for the file actions."""
    mail(office, tls="none")

    with pytest.raises(ActionFailed) as raised:
        await attempt.do(send, {**HELLO, "attach": ["/etc/passwd"]}, data={"attach.0": ""})

    assert raised.value.kind == "denied"
    assert office.taken == []


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "Hello\r\nBcc: eve@example.org"},
        {"subject": "Hello\nX: y"},
        {"to": "ann@example.org, eve@example.org"},
        {"to": "ann@example.org\r\nBcc: eve@example.org"},
        {"to": "Ann\n <ann@example.org>"},
        {"to": "ann@example.org>\r\nRCPT TO:<eve@example.org"},
        {"cc": ["ann@example.org\0"]},
        {"from": "a@example.org\nTo: b@example.org"},
        {"reply_to": "nobody"},
        {"to": []},
        {"attach": [{"content": "a", "name": "a\r\nX: y"}]},
        {"attach": [{"content": "a", "name": "a", "type": "text/plain\r\nX: y"}]},
        {"text": None},
    ],
)
async def test_data_adds_no_header_and_no_recipient(attempt, mail, office, change):
    """What would be a second line, or a second address, fails the step for good."""
    mail(office, tls="none")

    error = await failing(attempt, {**HELLO, **change})

    assert (error.kind, error.transient) == ("type", False)
    assert office.taken == []


async def test_a_line_with_a_dot_arrives(attempt, mail, office):
    """A dot alone ends no message."""
    mail(office, tls="none")

    await attempt.do(send, {**HELLO, "text": "one\n.\n..two\n"})

    assert office.message().get_content() == "one\r\n.\r\n..two\r\n"


@pytest.mark.parametrize(("answer", "transient"), [("451 later", True), ("554 never", False)])
async def test_what_the_server_answers_decides(attempt, mail, office, answer, transient):
    """4xx may be tried again, 5xx not; the answer is shown."""
    office.answer = answer
    mail(office, tls="none")

    error = await failing(attempt, HELLO)

    assert (error.kind, error.status, error.transient) == ("smtp", int(answer[:3]), transient)
    assert str(error) == f"127.0.0.1:{office.port}: answered {answer}"


async def test_all_or_nobody(attempt, mail, office):
    """One recipient that is refused, and nobody gets it."""
    office.refuse["bob@example.org"] = "550 no such box"
    mail(office, tls="none")

    error = await failing(attempt, {**HELLO, "cc": ["bob@example.org", "cid@example.org"]})

    assert (error.status, error.transient) == (550, False)
    assert office.taken == []


async def test_nobody_listens(attempt, mail):
    """A server that is not there may come back."""
    async with opened(Office()) as gone:
        pass
    mail(gone, tls="none")

    error = await failing(attempt, HELLO)

    assert (error.kind, error.transient) == ("smtp", True)


async def test_a_server_that_hangs_up_is_tried_again(attempt, mail, office):
    """A connection that is lost on the way may be tried again."""

    async def hang_up(reader, writer):
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    office.port = server.sockets[0].getsockname()[1]
    mail(office, tls="none")

    error = await failing(attempt, HELLO)

    server.close()
    assert (error.kind, error.transient) == ("smtp", True)


async def test_starttls_and_a_login(attempt, mail, certificate):
    """The password goes over the encrypted connection."""
    file, context = certificate
    office = Office()
    options = {"tls_context": context, "require_starttls": True, "authenticator": office.log_in}
    async with opened(office, auth_required=True, **options):
        mail(office, ca=file, user="shop", password="right")
        await attempt.do(send, HELLO)

        mail(office, ca=file, user="shop", password="wrong")
        error = await failing(attempt, HELLO)

    assert len(office.taken) == 1
    assert office.logins[0] == (b"shop", b"right")
    assert (error.status, error.transient) == (535, False)
    assert "wrong" not in str(error)


async def test_tls_from_the_first_byte(attempt, mail, certificate):
    """`tls: tls` speaks TLS at once."""
    file, context = certificate
    async with opened(Office(), ssl=context) as office:
        mail(office, ca=file, tls="tls")

        await attempt.do(send, HELLO)

    assert len(office.taken) == 1


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_stranger_is_not_believed(attempt, mail, certificate, tls):
    """A certificate that nobody vouches for ends it; trying again does not help."""
    _, context = certificate
    wrapped = {"ssl": context} if tls == "tls" else {"tls_context": context}
    async with opened(Office(), **wrapped) as office:
        mail(office, tls=tls)

        error = await failing(attempt, HELLO)

    assert "certificate verify failed" in str(error)
    assert not error.transient
    assert office.taken == []


async def test_a_server_without_starttls_gets_nothing(attempt, mail, office):
    """Encryption is not given up because the server offers none."""
    mail(office)

    error = await failing(attempt, HELLO)

    assert "STARTTLS" in str(error)
    assert not error.transient


async def test_a_password_is_not_shouted(attempt, mail, office):
    """`tls: none` sends no password."""
    mail(office, tls="none", user="shop", password="right")

    error = await failing(attempt, HELLO)

    assert error.kind == "denied"
    assert office.logins == []


async def test_a_connection_with_a_mistake(attempt):
    """A key that a connection does not have is named."""
    attempt.connections["mail"] = Connection(name="mail", kind="smtp", config={"hots": "a"})

    error = await failing(attempt, HELLO)

    assert "connection 'mail'" in str(error)
    assert error.kind == "type"


async def test_cancelling_breaks_off(attempt, mail):
    """A step that is cancelled ends at once, in the middle of a conversation."""
    heard = asyncio.Event()

    async def listen(reader, writer):
        writer.write(b"220 slow\r\n")
        await reader.readline()
        heard.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    office = Office()
    office.port = server.sockets[0].getsockname()[1]
    mail(office, tls="none")
    sending = asyncio.create_task(attempt.do(send, HELLO))
    await heard.wait()

    sending.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([sending])

    server.close()
    assert sending.cancelled()
