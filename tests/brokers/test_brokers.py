"""The servers and the proxy that other tests stand on."""

import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.brokers.mosquitto import Mosquitto
from tests.brokers.proxy import Proxy
from tests.brokers.redis import Redis
from tests.brokers.server import ask, program

pytestmark = pytest.mark.broker

_SECS = 0.3


@pytest.fixture
def redis():
    """A Redis."""
    with Redis() as server:
        yield server


def test_a_server_serves_until_it_ends():
    """Inside the context it answers; after it neither process nor folder is left."""
    with Redis() as server:
        assert server.answers()

    assert not server.folder.exists()
    with pytest.raises(ConnectionRefusedError):
        server.answers()


def test_a_killed_server_comes_back_with_what_it_stored(redis):
    """Restart is on the same port and folder."""
    ask(redis.port, b"SET a 1\r\n")

    redis.restart()

    assert ask(redis.port, b"GET a\r\n") == b"$1\r\n1\r\n"


def test_a_paused_server_is_silent_until_it_goes_on(redis):
    """SIGSTOP leaves connections open without an answer."""
    with socket.create_connection(("127.0.0.1", redis.port), _SECS) as connection:
        redis.pause()
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(10)

        redis.resume()

        assert connection.recv(10) == b"+PONG\r\n"


def test_mosquitto_serves():
    """The other server of this room answers too."""
    with Mosquitto() as server:
        assert server.answers()
        server.restart()
        assert server.answers()


def test_a_missing_program_is_said(monkeypatch):
    """The package to install is named; where brokers are required the test fails."""
    monkeypatch.delenv("REACTOR_REQUIRE_BROKERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install no-such-package"):
        program("no-such-program", "no-such-package")

    monkeypatch.setenv("REACTOR_REQUIRE_BROKERS", "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install no-such-package"):
        program("no-such-program", "no-such-package")


def test_programs_off_the_path_are_found(monkeypatch, tmp_path):
    """Debian keeps servers in /usr/sbin, which is not on everybody's PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert Path(program("mosquitto", "mosquitto")).is_file()


@pytest.fixture
def proxy(redis):
    """A proxy before it."""
    with Proxy(redis.port) as made:
        yield made


def test_the_proxy_passes_on(proxy):
    """Without harm it is as if it were not there, sliced and slow too."""
    proxy.slice_bytes, proxy.latency_secs, proxy.bytes_per_sec = 2, 0.01, 10_000

    assert ask(proxy.port, b"PING\r\n", 1) == b"+"


def test_a_cut_closes_and_refuses_until_it_is_mended(proxy):
    """Open connections end, new ones too; after `mend` new ones pass."""
    with socket.create_connection(("127.0.0.1", proxy.port), _SECS) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(10) == b"+PONG\r\n"

        proxy.cut()

        assert gone(connection)
    with suppress(ConnectionError):
        assert ask(proxy.port, b"PING\r\n") == b""
    proxy.mend()
    assert ask(proxy.port, b"PING\r\n") == b"+PONG\r\n"


def test_a_reset_breaks_off_what_is_open_only(proxy):
    """The client sees RST; its next connection passes."""
    with socket.create_connection(("127.0.0.1", proxy.port), _SECS) as connection:
        connection.sendall(b"PING\r\n")
        connection.recv(10)

        proxy.reset()

        with pytest.raises(ConnectionResetError):
            connection.recv(10)
    assert ask(proxy.port, b"PING\r\n") == b"+PONG\r\n"


def test_half_open_is_silence(proxy):
    """Nothing comes through; what stood then stays dead, new connections pass after `mend`."""
    with socket.create_connection(("127.0.0.1", proxy.port), _SECS) as connection:
        connection.sendall(b"PING\r\n")
        connection.recv(10)

        proxy.half_open()
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(10)
        proxy.mend()
        with pytest.raises(TimeoutError):
            connection.recv(10)
    assert ask(proxy.port, b"PING\r\n") == b"+PONG\r\n"


def gone(connection: socket.socket) -> bool:
    """Whether the other side has closed."""
    try:
        return connection.recv(10) == b""
    except ConnectionError:
        return True
