"""Which NATS, and how it is reached: as a connection or beside the subjects of a flow."""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

from reactor.errors import NotFound
from reactor.plugin.context import Connection
from reactor.plugin.decode import decode
from reactor.plugin.reach import Tls
from reactor.plugin.spec import Complaint, Config, doc


class Login(Config, frozen=True):
    """Who we are: a user and password, a token, an nkey, or a .creds file."""

    user: Annotated[str | None, doc("The user's name.", "reactor")] = None
    password: Annotated[str | None, doc("The password.", "${{ secrets.nats }}")] = None
    token: Annotated[str | None, doc("A token.", "${{ secrets.nats_token }}")] = None
    nkey: Annotated[
        str | None, doc("The seed of a user's nkey, SU….", "${{ secrets.nats_seed }}")
    ] = None
    creds: Annotated[
        str | None,
        doc("A .creds file: a user's JWT and seed.", "/etc/reactor/nats.creds", strict=True),
    ] = None


class Servers(Config, frozen=True):
    """A NATS server, or several of one cluster."""

    servers: Annotated[list[str], doc("Servers to begin with.", ["nats://nats1:4222"], strict=True)]
    login: Annotated[Login | None, doc("User and password, token, nkey or .creds file.")] = None
    tls: Annotated[bool | Tls, doc("Whether the servers speak TLS, and by which files.")] = False


class Reached(Config, frozen=True):
    """The part of a trigger or step that says which NATS: a connection, or the servers here."""

    connection: Annotated[
        str | None,
        doc("The connection of kind nats; it may be left out where there is only one.", "main"),
    ] = None
    servers: Annotated[
        list[str] | None,
        doc("Servers to begin with, instead of a connection.", ["nats://nats1:4222"], strict=True),
    ] = None
    login: Annotated[
        Login | None, doc("With servers: user and password, token, nkey or .creds file.")
    ] = None
    tls: Annotated[bool | Tls, doc("With servers: whether they speak TLS, and by which files.")] = (
        False
    )


def check_reached(written: Any) -> list[Complaint]:
    """What is wrong with the part of a config that says which NATS."""
    found: list[Complaint] = []
    if "servers" not in written:
        found += [
            ((name,), f"{name} belongs to servers: write both, or put both into the connection")
            for name in ("login", "tls")
            if name in written
        ]
    elif "connection" in written:
        found.append((("connection",), "connection takes the place of servers: drop one"))
    if written.get("servers") == []:
        found.append((("servers",), "servers names at least one: [nats://nats1:4222]"))
    if isinstance(login := written.get("login"), dict) and (wrong := login_complaint(login)):
        found.append((("login",), wrong))
    return found


def login_complaint(given: Iterable[str]) -> str | None:
    """What is wrong with a login of these parts."""
    ways = [name for name in given if name != "password"]
    return f"{' and '.join(ways)} are two logins: drop one" if len(ways) > 1 else None


def find_servers(config: Reached, find: Any) -> Servers:
    """The servers that a config names; `find` is `context.connection`. Raises `NotFound`."""
    if config.servers is not None:
        return Servers(servers=config.servers, login=config.login, tls=config.tls)
    try:
        found: Connection = find("nats", config.connection)
    except NotFound as error:
        raise NotFound(f"{error}, or servers: [nats://host:port]") from error
    servers: Servers = decode(dict(found.config), Servers)
    return servers


def digest(servers: Servers) -> str:
    """A name for servers and how they are reached, from which no secret can be read."""
    return hashlib.sha256(msgspec.json.encode(servers)).hexdigest()[:16]
