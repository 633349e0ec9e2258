"""Which addresses a request may reach."""

from ipaddress import ip_address

import pytest

from reactor.connectors.http.guard import (
    AddressRefused,
    Guard,
    is_authors_host,
    reach_of,
    read_allowed,
)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::169.254.169.254",
        "100.100.100.200",
    ],
)
def test_metadata_is_never_reached(address):
    """Link-local and metadata addresses are refused in every disguise, whoever wrote them."""
    allowed = read_allowed(["0.0.0.0/0", "::/0"])

    for public_only in (True, False):
        with pytest.raises(AddressRefused, match="never reached"):
            Guard(public_only=public_only, allowed=allowed).check(address, 80)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.31.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.0.8",
        "::",
        "::1",
        "fd12::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:0:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:a00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "4000::1",
    ],
)
def test_what_is_not_public_is_only_for_authors(address):
    """Private, shared, local, reserved and carried addresses are refused to data."""
    nothing = read_allowed([])

    Guard(public_only=False, allowed=nothing).check(address, 80)
    with pytest.raises(AddressRefused, match="comes from data"):
        Guard(public_only=True, allowed=nothing).check(address, 80)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_public_addresses_are_for_all(address):
    """Data may name what is public."""
    assert reach_of(ip_address(address)) == "public"


@pytest.mark.parametrize(
    ("entry", "address", "port", "passes"),
    [
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "192.168.0.1", 80, False),
        ("10.0.0.5:8080", "10.0.0.5", 8080, True),
        ("10.0.0.5:8080", "10.0.0.5", 80, False),
        ("fd12::/16", "fd12::9", 443, True),
        ("[fd12::9]:443", "fd12::9", 443, True),
        ("[fd12::9]:443", "fd12::9", 80, False),
        ("10.0.0.0/8", "::ffff:10.0.0.1", 80, True),
        ("nas.lan", "10.0.0.1", 80, False),
    ],
)
def test_addresses_may_be_listed(entry, address, port, passes):
    """`net.allow` takes networks and addresses, with a port or without."""
    guard = Guard(public_only=True, allowed=read_allowed([entry]))

    if passes:
        guard.check(address, port)
    else:
        with pytest.raises(AddressRefused):
            guard.check(address, port)


def test_names_may_be_listed():
    """`net.allow` takes names, whatever their case and with a dot at their end."""
    allowed = read_allowed(["NAS.lan", "books.lan:8080"])

    assert allowed.has_name("nas.lan.", 80)
    assert allowed.has_name("books.lan", 8080)
    assert not allowed.has_name("books.lan", 80)
    assert not allowed.has_name("evil-nas.lan", 80)


@pytest.mark.parametrize(
    ("authored", "rest", "authors"),
    [
        ("http://nas.lan/x/", "1", True),
        ("http://nas.lan:80?q=", "1", True),
        ("http://nas.lan#", "1", True),
        ("http://nas.lan", "", True),
        ("http://nas.lan", ".evil.org/", False),
        ("http://nas.lan", "@evil.org/", False),
        ("http://nas.lan:80", "80@evil.org/", False),
        ("http://user:", "x@evil.org/", False),
        ("http://nas.lan\\", "@evil.org/", False),
        ("http://", "nas.lan/", False),
        ("http:///", "nas.lan/", False),
        ("http:", "//nas.lan/", False),
        ("", "http://nas.lan/", False),
    ],
)
def test_the_authors_host_is_whole_before_data_begins(authored, rest, authors):
    """A host counts as the author's only where no data can lengthen or replace it."""
    assert is_authors_host(authored + rest, authored) is authors
