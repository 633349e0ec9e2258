"""Which addresses an outgoing request may reach: it depends on who wrote the host."""

import errno
import re
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Literal

from msgspec import Struct

Reach = Literal["never", "private", "public"]
Address = IPv4Address | IPv6Address

# Link-local, and where clouds hand out a machine's credentials: nobody's request goes there.
_NEVER = tuple(
    ip_network(each)
    for each in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::254",  # Amazon
        "fd20:ce::254",  # Google
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
    )
)
# What the special-purpose registries of IANA do not call global (RFC 6890 and its updates).
# Our own list, because that of `ipaddress` differs between releases of Python.
_NOT_PUBLIC = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# IPv6 addresses that carry an IPv4 address, and how many bits stand behind it: mapped,
# translated (NAT64, RFC 6052), local NAT64 (RFC 8215), compatible, 6to4.
_CARRIERS = (
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("::ffff:0:0:0/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("64:ff9b:1::/48"), 0),
    (IPv6Network("::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\\]+[/?#]")


class AddressRefused(PermissionError):
    """A connection that would go where this request may not."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EACCES, reason)


class Allowed(Struct, frozen=True):
    """`net.allow`, read: names and networks, each with a port or with any."""

    names: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[tuple[Any, int | None], ...] = ()

    def has_name(self, host: str, port: int) -> bool:
        """Whether the list names this host."""
        name = host.rstrip(".").lower()
        return (name, None) in self.names or (name, port) in self.names

    def has_address(self, address: Address, port: int) -> bool:
        """Whether the list covers this address."""
        return any(address in network and of in (None, port) for network, of in self.networks)


def read_allowed(entries: Iterable[str]) -> Allowed:
    """The exceptions as `net.allow` lists them: `nas.lan`, `10.0.0.0/8`, `[fd00::1]:443`."""
    names, networks = set(), []
    for entry in entries:
        host, port = _split_port(entry.strip())
        try:
            networks.append((ip_network(host, strict=False), port))
        except ValueError:
            names.add((host.rstrip(".").lower(), port))
    return Allowed(frozenset(names), tuple(networks))


def is_authors_host(url: str, authored: str) -> bool:
    """Whether the author of the flow, and no event data, wrote the host of `url`.

    `authored` is the beginning of the text that no data wrote.
    """
    return authored == url or _AUTHORITY.match(authored) is not None


def reach_of(address: Address) -> Reach:
    """Who may go to an address: nobody, whoever wrote it into the flow, or data too."""
    inner = _carried(address)
    if any(address in network for network in _NEVER):
        return "never"
    if inner is not None:
        return reach_of(inner)
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return "private"
    return "private" if any(address in network for network in _NOT_PUBLIC) else "public"


class Guard:
    """Opens the sockets of one HTTP client, and looks at each real address before it does.

    DNS, literals in any spelling and redirects all end here.
    """

    def __init__(self, *, public_only: bool, allowed: Allowed) -> None:
        self._public_only = public_only
        self._allowed = allowed

    def open_socket(self, target: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
        """A socket for one result of the name lookup, or `AddressRefused`."""
        family, type_, protocol, _, place = target
        self.check(str(place[0]), int(place[1]))
        return socket.socket(family, type_, protocol)

    def check(self, host: str, port: int) -> None:
        """Pass if this client may connect there."""
        address = ip_address(host.partition("%")[0])
        reach = reach_of(address)
        if reach == "never":
            raise AddressRefused("link-local and metadata addresses are never reached")
        if self._public_only and reach == "private" and not self._allows(address, port):
            raise AddressRefused(
                "the host comes from data and is not a public address; "
                "write it into the flow, or list it under net.allow in reactor.yaml"
            )

    def _allows(self, address: Address, port: int) -> bool:
        inner = _carried(address)
        return self._allowed.has_address(address, port) or (
            inner is not None and self._allowed.has_address(inner, port)
        )


def _carried(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address) or int(address) <= 1:  # :: and ::1 carry nothing
        return None
    for network, shift in _CARRIERS:
        if address in network:
            return IPv4Address((int(address) >> shift) & 0xFFFFFFFF)
    return None


def _split_port(entry: str) -> tuple[str, int | None]:
    if match := re.fullmatch(r"\[(.+)\](?::([0-9]+))?", entry):
        return match[1], None if match[2] is None else int(match[2])
    host, colon, port = entry.rpartition(":")
    if colon and ":" not in host and port.isdecimal():
        return host, int(port)
    return entry, None
