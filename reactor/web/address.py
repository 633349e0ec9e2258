"""Who a request is from: its address, behind proxies that we trust, and its certificate's names."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from reactor.errors import BadConfig

Address = IPv4Address | IPv6Address


class Proxies:
    """The networks of `server.trusted_proxies`."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        try:
            self._networks = [ip_network(network) for network in networks]
        except ValueError as error:
            raise BadConfig(
                f"server.trusted_proxies: {error}; write addresses or networks, such as 10.0.0.0/8"
            ) from error

    def trusts(self, address: str) -> bool:
        """Whether the peer's word about who it speaks for counts."""
        if not self._networks:
            return False
        known = _read(address)
        return known is not None and self._inside(known)

    def client(self, peer: str, forwarded: str) -> str:
        """The client behind a trusted peer: the last address that no trusted proxy has.

        Whatever stands left of it was written by that client and proves nothing. An entry that is
        no address ends the search at the last good one.
        """
        client = peer
        for entry in reversed(forwarded.split(",")):
            known = _read(entry.strip())
            if known is None:
                break
            client = str(known)
            if not self._inside(known):
                break
        return client

    def _inside(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def plain(address: str) -> str:
    """The text of a peer's address; an IPv4 address in IPv6 clothes is written as IPv4."""
    known = _read(address)
    return address if known is None else str(known)


def certified(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The names in a checked certificate: its alternative names, then its common name."""
    if not certificate:
        return ()
    names = [value for _, value in certificate.get("subjectAltName", ())]
    parts = [pair for part in certificate.get("subject", ()) for pair in part]
    names += [value for name, value in parts if name == "commonName"]
    return tuple(dict.fromkeys(map(str, names)))


def _read(text: str) -> Address | None:
    try:
        known = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(known, "ipv4_mapped", None) or known
