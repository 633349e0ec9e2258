"""Schemes about the caller itself: what Twilio signs, addresses, client certificates."""

import pytest

from reactor.connectors.http.proof import Sender, Unverified
from reactor.connectors.http.verify import verifier
from tests.connectors.http.test_verify import NOW, request, schemes

# Published: Twilio's documentation of webhook security, and the tests of its Python library.
FORM = (
    b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309"
    b"&To=%2B18005551212"
)
HEADERS = {
    "host": "mycompany.com",
    "content-type": "application/x-www-form-urlencoded",
    "x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
    "i-twilio-idempotency-token": "t-1",
}
TARGET = "/myapp.php?foo=1&bar=2"
JSON = b'{"property": "value", "boolean": true}'
DIGEST = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"


def test_twilio_signs_the_address_and_the_form():
    """The published vector, and its delivery's id."""
    check = verifier(schemes({"twilio": "12345"})).check

    assert check(request(HEADERS, FORM, target=TARGET), NOW) == Sender("twilio", "t-1")


@pytest.mark.parametrize("port", [":443", ":8787"], ids=["its usual port", "ours"])
def test_twilio_does_not_sign_our_port(port):
    """Behind a proxy Host may have a port that Twilio knows nothing of."""
    check = verifier(schemes({"twilio": "12345"})).check

    sender = check(request({**HEADERS, "host": f"mycompany.com{port}"}, FORM, target=TARGET), NOW)

    assert sender.name == "twilio"


def test_twilio_behind_a_proxy_that_changes_host():
    """`url` says what Twilio calls."""
    long = {"secrets": ["other", "12345"], "url": "https://mycompany.com/"}
    sent = request({**HEADERS, "host": "inner:80"}, FORM, target=TARGET)

    assert verifier(schemes({"twilio": long})).check(sent, NOW).name == "twilio"
    with pytest.raises(Unverified):
        verifier(schemes({"twilio": "12345"})).check(sent, NOW)


@pytest.mark.parametrize(
    ("headers", "body", "target"),
    [
        ({"x-twilio-signature": None}, FORM, TARGET),
        ({"x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8"}, FORM, TARGET),
        ({}, FORM.replace(b"1234&", b"1235&"), TARGET),
        ({}, FORM + b"&More=1", TARGET),
        ({}, FORM, "/myapp.php?foo=1&bar=3"),
        ({"host": "other.com"}, FORM, TARGET),
        ({"content-type": "application/json"}, FORM, TARGET),
        ({}, b"a=1&" * 1001, TARGET),
        ({}, b"\xff", TARGET),
    ],
)
def test_what_twilio_did_not_sign_is_refused(headers, body, target):
    """One changed byte of form or address, a missing or cut signature, another type."""
    sent = {name: text for name, text in {**HEADERS, **headers}.items() if text is not None}

    with pytest.raises(Unverified):
        verifier(schemes({"twilio": "12345"})).check(request(sent, body, target=target), NOW)


def test_twilio_signs_other_bodies_by_their_digest():
    """A JSON body is compared with `bodySHA256` of the signed address."""
    target = f"{TARGET}&bodySHA256={DIGEST}"
    headers = {
        "host": "mycompany.com",
        "content-type": "application/json",
        "x-twilio-signature": "a9nBmqA0ju/hNViExpshrM61xv4=",
    }
    check = verifier(schemes({"twilio": "12345"})).check
    query = {"bodySHA256": DIGEST}

    assert check(request(headers, JSON, query, target=target), NOW).name == "twilio"
    with pytest.raises(Unverified):
        check(request(headers, JSON + b" ", query, target=target), NOW)


@pytest.mark.parametrize(
    ("address", "right"),
    [
        ("10.1.2.3", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("fd00::1", True),
        ("::1", False),
        ("", False),
    ],
)
def test_an_address_on_the_list(address, right):
    """Networks and single addresses of both families; what is not listed is refused."""
    check = verifier(schemes({"ip": ["10.0.0.0/8", "192.0.2.7", "fd00::/8"]})).check
    sent = request({}, address=address)

    if right:
        assert check(sent, NOW) == Sender(address)
    else:
        with pytest.raises(Unverified):
            check(sent, NOW)


@pytest.mark.parametrize(
    ("names", "client", "right"),
    [
        ("billing.example.org", ("billing.example.org", "Billing"), True),
        (["other", "Billing"], ("billing.example.org", "Billing"), True),
        ("*", ("anything",), True),
        ("*", (), False),
        ("billing.example.org", ("Billing",), False),
    ],
)
def test_a_name_in_the_client_certificate(names, client, right):
    """One of its names is on the list; without a certificate nobody is let in."""
    check = verifier(schemes({"mtls": names})).check
    sent = request({}, client=client)

    if right:
        assert check(sent, NOW) == Sender(client[0])
    else:
        with pytest.raises(Unverified):
            check(sent, NOW)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"ip": []}, "the list is empty"),
        ({"ip": "10.0.0.1/8"}, "write addresses or networks"),
        ({"mtls": ""}, "the list is empty"),
        ({"twilio": ""}, "the secret is empty"),
    ],
)
def test_a_list_that_lets_nobody_in_is_refused(written, message):
    """The message says what to write."""
    with pytest.raises(ValueError, match=message):
        verifier(schemes(written))
