"""Logins by nkey and .creds file against real servers that take nothing else."""

import pytest

from reactor.clock import SystemClock
from reactor.connectors.nats.source import nats as source_nats
from tests.brokers.listening import Ears, listening
from tests.brokers.nats import Nats
from tests.brokers.nkeys import Operator, Pair

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def user():
    """The only user of a server, by nkey."""
    return Pair("user")


@pytest.fixture(scope="module")
def keyed(user):
    """A server that takes one nkey."""
    with Nats(settings=f"authorization {{ users: [{{ nkey: {user.public} }}] }}") as server:
        yield server


@pytest.fixture(scope="module")
def operator():
    """Who says which users there are."""
    return Operator()


@pytest.fixture(scope="module")
def governed(operator):
    """A server under an operator, which takes users by JWT."""
    with Nats(settings=operator.settings) as server:
        yield server


def reading(server, **login):
    """A source that logs in."""
    config = {"servers": [server.url], "subjects": ["a"], "login": login}
    return listening(source_nats, config, Ears())


async def test_an_nkey_is_let_in(keyed, user):
    """The seed proves who we are."""
    async with reading(keyed, nkey=f"{user.seed}\n") as source:
        await source.up()


async def test_creds_are_let_in(governed, operator, tmp_path):
    """The file's JWT says who we are, its seed proves it."""
    operator.creds(tmp_path / "reactor.creds")

    async with reading(governed, creds=str(tmp_path / "reactor.creds")) as source:
        await source.up()


async def test_another_nkey_is_told(keyed, caplog):
    """The state names the key that the server does not know, and no seed."""
    other = Pair("user")

    async with reading(keyed, nkey=other.seed) as source:
        said = await source.failed(f"it knows no user with nkey {other.public}")

    assert other.seed not in said + caplog.text


async def test_creds_of_another_operator_are_told(governed, tmp_path, caplog):
    """The state names the file that the server refuses, and neither JWT nor seed."""
    file = tmp_path / "other.creds"
    seed = Operator().creds(file)

    async with reading(governed, creds=str(file)) as source:
        said = await source.failed(f"it refuses {file}: not of an account here")

    assert seed not in said + caplog.text
    assert "eyJ" not in said + caplog.text


async def test_creds_that_expire_are_told(governed, operator, tmp_path):
    """While we are connected the server says it itself; afterwards it refuses the file."""
    file = tmp_path / "brief.creds"
    operator.creds(file, expires=int(SystemClock().now_ms() / 1000) + 2)

    async with reading(governed, creds=str(file)) as source:
        await source.up()
        await source.failed("user authentication expired")
        await source.failed(f"it refuses {file}: not of an account here, expired, or revoked")


async def test_a_server_that_wants_a_key_says_so(keyed):
    """Without any login the ways to log in are named."""
    config = {"servers": [keyed.url], "subjects": ["a"]}
    async with listening(source_nats, config, Ears()) as source:
        await source.failed("it wants a login: user and password, token, nkey or creds")


@pytest.mark.parametrize(
    "seed",
    [Pair("account").seed, Pair("user").public, "SUAB", "S€", Pair("user").seed[:-1] + "1"],
    ids=["account", "public", "short", "foreign", "typo"],
)
async def test_what_is_no_seed_is_told(keyed, seed):
    """Before anybody is asked, and without showing it."""
    async with reading(keyed, nkey=seed) as source:
        said = await source.failed("login.nkey: it is no seed of a user")

    assert seed not in said


async def test_a_file_that_is_not_there_is_told(keyed):
    """With the name of the setting."""
    async with reading(keyed, creds="/no/such.creds") as source:
        await source.failed("login.creds /no/such.creds: No such file or directory")


@pytest.mark.parametrize("content", [b"", b"\xff", b"SUAB", b"-----BEGIN NATS USER JWT-----\n"])
async def test_a_file_that_is_no_creds_is_told(keyed, tmp_path, content):
    """An empty file, one of bytes, a bare seed, and half a file."""
    (tmp_path / "creds").write_bytes(content)

    async with reading(keyed, creds=str(tmp_path / "creds")) as source:
        await source.failed("no NATS USER JWT in it")


async def test_two_logins_are_too_many(keyed):
    """As settings, where no flow is checked, the source says it."""
    async with reading(keyed, nkey="SU", creds="file") as source:
        await source.failed("login: nkey and creds are two logins: drop one")
