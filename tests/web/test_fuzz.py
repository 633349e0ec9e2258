"""Split, merged and mutated requests, beside h11 as a second reader of the same bytes."""

import random

import h11
import pytest

from reactor.plugin.context import Route
from reactor.web.reading import Limits, Reader
from reactor.web.routes import PathTable

SEEDS = range(300)
HOST = b"Host: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
GOOD = [
    b"GET /a?b=%20 HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello",
    b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 8\r\nX:\r\n\r\n\r\n\r\n\r\n\r\n",
    b"POST /a HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n",
    b"POST /a HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n9\r\n0\r\n\r\nPOST\r\n0\r\n\r\n",
    b"PUT /b HTTP/1.1\r\nhost: \xe4\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    b"POST /a HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
    b"POST /a HTTP/1.0\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
]  # fmt: skip
PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b",", b";", b"0", b"-1", b"\xff", b"%", b"#",
    b"\r\n\r\n", HOST, CHUNKED, b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"chunked",
    b"Transfer-Encoding: gzip\r\n", b"Connection: close\r\n", b"Upgrade: h2c\r\n", b"HTTP/1.0",
    b"HTTP/1.1", b"GET / HTTP/1.1\r\n", b"0\r\n\r\n", b"ffffffff\r\n", b"X: \r\n y\r\n", b"a" * 200,
]  # fmt: skip


class Anywhere(PathTable):
    """Serves every path and method, so that each request is read to its end."""

    def __init__(self):
        super().__init__(lambda: True)

    def exact(self, path):
        place = super().exact("/healthz")
        assert place is not None
        served = place.serving["GET"]
        every = type(served)(Route(method="*", path="*", max_body=1 << 20), served.answer, "", ())
        place.serving = dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"), every)
        return place


def made(chance):
    """A stream of requests with some bytes cut, doubled, exchanged or put in."""
    data = b"".join(chance.choice(GOOD) for _ in range(chance.randint(1, 4)))
    for _ in range(chance.randint(0, 4)):
        at = chance.randrange(len(data) + 1)
        cut = at + chance.choice((0, 0, 1, 2, 10))
        data = data[:at] + chance.choice([*PIECES, b"", data[at:cut] * 2]) + data[cut:]
    return data


def ours(pieces):
    """What our reader makes of the bytes, and whether it refused some."""
    reader = Reader(Anywhere(), Limits(), "", None)
    requests, refused = [], False
    for piece in pieces:
        if reader.ended:
            break
        reader.take(piece)
        while reader.unread:
            reader.parse()
    for exchange in reader.ready:
        if exchange.request is None:
            refused = True
        else:
            request = exchange.request
            requests.append((request.method, request.target, request.body))
    return requests, refused


def theirs(data):
    """The requests that h11 reads, and whether it would read on.

    It refuses what RFC 9112 lets a server take (several empty lines before a request, two spaces
    in the first line) and closes after any HTTP/1.0.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=100_000)
    connection.receive_data(data)
    requests: list[tuple[str, str, bytes]] = []
    body, head = b"", None
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return requests, False
        if isinstance(event, h11.Request):
            head, body = event, b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            requests.append((head.method.decode(), head.target.decode("latin-1"), body))
            connection.send(h11.Response(status_code=204, headers=[]))
            connection.send(h11.EndOfMessage())
            if connection.states[h11.CLIENT] is not h11.DONE:
                return requests, False
            connection.start_next_cycle()
        else:
            return requests, True


def test_good_requests_are_read_alike():
    """Unchanged requests are read to the last byte, as h11 reads them."""
    data = b"".join(GOOD)

    requests, refused = ours([data])

    assert not refused
    assert len(requests) == len(GOOD)
    assert requests == theirs(data)[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_where_bytes_are_split_changes_nothing(seed):
    """Whole, byte by byte, and in random pieces: the same requests, the same refusal."""
    chance = random.Random(seed)
    data = made(chance)
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randint(1, 9)))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    whole = ours([data])

    assert ours([data[at : at + 1] for at in range(len(data))]) == whole
    assert ours(pieces) == whole


@pytest.mark.parametrize("seed", SEEDS)
def test_what_we_take_another_reader_takes_alike(seed):
    """No bytes are a request to us and something else to the reader before or behind us."""
    data = made(random.Random(seed))

    requests, _ = ours([data])
    expected, reads_on = theirs(data)

    if not reads_on:
        requests = requests[: len(expected)]
    assert requests == expected[: len(requests)]
