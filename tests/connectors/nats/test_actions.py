"""Publishing and asking over a real NATS."""

from contextlib import suppress

import pytest

from reactor.errors import ActionFailed
from reactor.plugin.catalog import Catalog
from tests.brokers.running import eventually

pytestmark = pytest.mark.broker


def action(word):
    """An action by its word."""
    spec = Catalog().find("action", word)
    assert spec is not None
    return spec


async def test_a_stream_stores_a_repeat_once(stream, attempt):
    """Two attempts of a step share the message's id."""
    written = {"servers": [stream.url], "subject": f"{stream.name}.a", "stream": stream.name}

    first = await attempt.do(action("nats.publish"), {**written, "json": {"n": 1}})
    again = await attempt.do(action("nats.publish"), {**written, "json": {"n": 1}})

    assert (first["sequence"], first["duplicate"]) == (1, False)
    assert (again["sequence"], again["duplicate"]) == (1, True)


async def test_a_message_goes_to_who_listens(server, client, attempt):
    """Without stream it is sent and that is all; headers go with it."""
    heard = await client.subscribe("news")
    written = {"servers": [server.url], "subject": "news", "text": "hi", "headers": {"A": "b"}}

    await attempt.do(action("nats.publish"), written)

    message = await heard.next_msg()
    assert (message.data, message.headers) == (b"hi", {"A": "b"})


async def test_a_request_is_answered(server, client, attempt):
    """The answer is decoded."""

    async def answer(message):
        await message.respond(b'{"price": 3}')

    await client.subscribe("price", cb=answer)
    await client.flush()

    found = await attempt.do(
        action("nats.request"), {"servers": [server.url], "subject": "price", "json": {}}
    )

    assert found == {"data": {"price": 3}, "headers": {}}


async def test_nobody_answers(server, attempt):
    """A request without anybody there fails at once, and may be tried again."""
    written = {"servers": [server.url], "subject": "void", "text": "?"}

    with pytest.raises(ActionFailed, match="nobody answers on 'void'") as failure:
        await attempt.do(action("nats.request"), written)

    assert failure.value.transient


async def test_a_subject_without_stream_is_said(stream, attempt):
    """The remedy names the stream."""
    written = {"servers": [stream.url], "subject": "other", "stream": stream.name, "text": "?"}

    with pytest.raises(ActionFailed, match="no stream takes subject 'other'"):
        await attempt.do(action("nats.publish"), written)


async def test_it_publishes_again_after_the_server_was_away(server, attempt):
    """A connection that was lost is made anew by the next step."""
    written = {"servers": [server.url], "subject": "x", "text": "1"}
    await attempt.do(action("nats.publish"), written)
    server.restart()

    async def sent():
        with suppress(ActionFailed):
            return await attempt.do(action("nats.publish"), written)

    assert await eventually(sent, "it is sent")


async def test_a_server_that_is_not_there_is_said(attempt):
    """The failure is transient and names the address."""
    written = {"servers": ["nats://127.0.0.1:9"], "subject": "x", "text": "1"}

    with pytest.raises(ActionFailed, match="refuses connections") as failure:
        await attempt.do(action("nats.publish"), written)

    assert failure.value.transient
