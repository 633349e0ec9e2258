"""Each scheme against published vectors, and against everything that is not quite right."""

import hashlib
import hmac
from base64 import b64encode

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reactor.connectors.http.config import Schemes
from reactor.connectors.http.proof import Sender, Unverified
from reactor.connectors.http.verify import verifier
from reactor.model.http import Request
from reactor.units import Duration, parse_duration

NOW = 1_614_265_330


def request(headers, body=b"{}", query=None, *, target="/hook", **more):
    return Request(
        **{"address": "127.0.0.1", **more},
        method="POST",
        path="/hook",
        target=target,
        headers=headers,
        query=query or {},
        body=body,
    )


def schemes(written):
    def from_text(kind, value):
        return parse_duration(value) if kind is Duration else value

    return msgspec.convert(written, Schemes, dec_hook=from_text)


def check(written, headers, body=b"{}", now=NOW, query=None):
    return verifier(schemes(written)).check(request(headers, body, query), now)


def hexed(key, data, algorithm="sha256"):
    return hmac.new(key, data, algorithm).hexdigest()


# Published: GitHub's and Slack's documentation, the Standard Webhooks specification, RFC 4231
# (cases 1 and 2), RFC 2202 (case 2).
GITHUB_BODY = b"Hello, World!"
GITHUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
    b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
    b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
    b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
STANDARD_BODY = b'{"test": 2432232314}'
STANDARD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SVIX = {name.replace("webhook", "svix"): value for name, value in STANDARD.items()}
HMAC = {"header": "X-Signature", "key_encoding": "hex"}

VECTORS = [
    (
        {"github": "It's a Secret to Everybody"},
        {"x-hub-signature-256": GITHUB_SIGNATURE, "x-github-delivery": "d-1"},
        GITHUB_BODY,
        NOW,
        Sender("github", "d-1"),
    ),
    (
        {"slack": "8f742231b10e8888abcd99yyyzzz85a5"},
        {"x-slack-signature": SLACK_SIGNATURE, "x-slack-request-timestamp": "1531420618"},
        SLACK_BODY,
        1_531_420_618,
        Sender("slack", SLACK_SIGNATURE),
    ),
    (
        {"standard-webhooks": STANDARD_SECRET},
        STANDARD,
        STANDARD_BODY,
        NOW,
        Sender("standard-webhooks", STANDARD["webhook-id"]),
    ),
    (
        {"standard-webhooks": STANDARD_SECRET},
        SVIX,
        STANDARD_BODY,
        NOW,
        Sender("standard-webhooks", STANDARD["webhook-id"]),
    ),
    (
        {"hmac": {**HMAC, "secrets": ["0b" * 20]}},
        {"x-signature": "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        b"Hi There",
        NOW,
        Sender("hmac"),
    ),
    (
        {"hmac": {"header": "X-Signature", "secrets": ["Jefe"], "algorithm": "sha512"}},
        {
            "x-signature": "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
            "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
        },
        b"what do ya want for nothing?",
        NOW,
        Sender("hmac"),
    ),
    (
        {
            "hmac": {
                "header": "X-Signature",
                "prefix": "sha1=",
                "algorithm": "sha1",
                "secrets": ["Jefe"],
            }
        },
        {"x-signature": "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
        b"what do ya want for nothing?",
        NOW,
        Sender("hmac"),
    ),
]

# Made by the providers' documented algorithms.
STRIPE = hexed(b"whsec_x", b"%d." % NOW + b'{"id":"evt_1"}')
CONSTRUCTED = [
    (
        {"stripe": "whsec_x"},
        {"stripe-signature": f"t={NOW},v0=ignored,v1={'0' * 64},v1={STRIPE}"},
        b'{"id":"evt_1"}',
        NOW,
        Sender("stripe", STRIPE),
    ),
    (
        {"shopify": "hush"},
        {
            "x-shopify-hmac-sha256": b64encode(hmac.digest(b"hush", b"{}", "sha256")).decode(),
            "x-shopify-webhook-id": "w-1",
            "x-shopify-event-id": "e-1",
        },
        b"{}",
        NOW,
        Sender("shopify", "w-1"),
    ),
    (
        {"gitea": {"secrets": ["old", "new"]}},
        {"x-gitea-signature": hexed(b"new", b"{}"), "x-gitea-delivery": "g-1"},
        b"{}",
        NOW,
        Sender("gitea", "g-1"),
    ),
    ({"gitlab": "token"}, {"x-gitlab-token": "token"}, b"{}", NOW, Sender("gitlab")),
    (
        {
            "hmac": {
                "header": "X-Sig",
                "signed": "{id}.{timestamp}.{body}",
                "timestamp": "X-Time",
                "id": "X-Id",
                "encoding": "base64",
                "secrets": ["k"],
            }
        },
        {
            "x-sig": b64encode(hmac.digest(b"k", b"i-1.%d.{}" % NOW, "sha256")).decode(),
            "x-time": str(NOW),
            "x-id": "i-1",
        },
        b"{}",
        NOW,
        Sender("hmac", "i-1"),
    ),
]
ALL = VECTORS + CONSTRUCTED
SIGNATURES = {
    "x-hub-signature-256", "x-slack-signature", "webhook-signature", "svix-signature",
    "x-signature", "stripe-signature", "x-shopify-hmac-sha256", "x-gitea-signature", "x-sig",
    "x-gitlab-token",
}  # fmt: skip
SIGNED = [case for case in ALL if "gitlab" not in case[0]]


@pytest.mark.parametrize(("written", "headers", "body", "now", "sender"), ALL)
def test_a_right_signature_names_the_sender(written, headers, body, now, sender):
    """Published vectors, and those made by the provider's documented algorithm."""
    assert check(written, headers, body, now) == sender


@pytest.mark.parametrize(("written", "headers", "body", "now", "sender"), SIGNED)
def test_one_changed_byte_of_the_body_is_refused(written, headers, body, now, sender):
    """The signature covers the raw bytes."""
    for changed in (body + b" ", body[:-1], bytes([body[0] ^ 1]) + body[1:]):
        with pytest.raises(Unverified):
            check(written, headers, changed, now)


@pytest.mark.parametrize(("written", "headers", "body", "now", "sender"), ALL)
def test_a_signature_that_is_not_quite_right_is_refused(written, headers, body, now, sender):
    """Missing, empty, cut, longer, other bytes: all the same."""
    name = next(iter(SIGNATURES & headers.keys()))
    right = headers[name]
    without = {key: value for key, value in headers.items() if key != name}

    with pytest.raises(Unverified):
        check(written, without, body, now)
    for wrong in (
        "", " ", "\xff", right[:-1] + "\xff", right[:-2], right[1:], f"{right},{right}",
        right.upper(), "sha256=", "v0=", "v1,", f"t={now}", "sha1=" + "0" * 40,
    ):  # fmt: skip
        with pytest.raises(Unverified):
            check(written, {**headers, name: wrong}, body, now)


@pytest.mark.parametrize(("written", "headers", "body", "now", "sender"), ALL)
def test_an_empty_secret_proves_nothing(written, headers, body, now, sender):
    """A route whose secret is empty does not open."""
    (name, value), *_ = written.items()
    long = value if isinstance(value, dict) else {}
    for secrets in ([], [""], ["right", ""]):
        with pytest.raises(ValueError, match="the secret is empty: set it"):
            verifier(schemes({name: {**long, "secrets": secrets}}))


TIMED = [case for case in ALL if any(part in str(case[1]) for part in ("time", "t=1"))]


@pytest.mark.parametrize(("written", "headers", "body", "now", "sender"), TIMED)
def test_a_time_outside_the_tolerance_is_refused(written, headers, body, now, sender):
    """Old and future requests are refused, those at the edge are taken."""
    assert check(written, headers, body, now + 300) == sender
    assert check(written, headers, body, now - 300) == sender
    for late in (301, -301, 10**9):
        with pytest.raises(Unverified, match="outside the tolerance"):
            check(written, headers, body, now + late)


@pytest.mark.parametrize(
    "time", ["", "-1", "1e9", "+1614265330", " 1614265330", "1" * 13, "\uff11\uff16"]
)
def test_a_malformed_time_is_refused(time):
    """A timestamp is one to twelve digits."""
    signed = {**STANDARD, "webhook-timestamp": time}
    stripe = {"stripe-signature": f"t={time},v1={STRIPE}"}

    for written, headers in (
        ({"standard-webhooks": STANDARD_SECRET}, signed),
        ({"stripe": "x"}, stripe),
    ):
        with pytest.raises(Unverified):
            check(written, headers, STANDARD_BODY)


def test_two_times_of_stripe_are_refused():
    """A second t= could be the one that was not signed."""
    header = f"t={NOW},t=1,v1={STRIPE}"

    with pytest.raises(Unverified, match="exactly one"):
        check({"stripe": "whsec_x"}, {"stripe-signature": header}, b'{"id":"evt_1"}')


@pytest.mark.parametrize("count", [17, 10_000])
def test_too_many_signatures_are_refused_unread(count):
    """More than sixteen signatures only cost time, even when one is right."""
    stripe = f"t={NOW}," + ",".join([f"v1={STRIPE}"] * count)
    standard = " ".join([STANDARD["webhook-signature"]] * count)

    with pytest.raises(Unverified, match="more than 16"):
        check({"stripe": "whsec_x"}, {"stripe-signature": stripe}, b'{"id":"evt_1"}')
    with pytest.raises(Unverified, match="more than 16"):
        check(
            {"standard-webhooks": STANDARD_SECRET},
            {**STANDARD, "webhook-signature": standard},
            STANDARD_BODY,
        )


def test_a_weaker_algorithm_is_refused():
    """GitHub's old SHA-1 header counts for nothing, nor does SHA-1 under the new name."""
    weak = "sha1=" + hexed(b"s", b"{}", "sha1")

    for headers in ({"x-hub-signature": weak}, {"x-hub-signature-256": weak}):
        with pytest.raises(Unverified):
            check({"github": "s"}, headers)


def test_ed25519_signatures_of_standard_webhooks():
    """v1a is checked with the public key; RFC 8032's first key signs here."""
    key = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert key.public_key().public_bytes_raw() == public
    signed = f"{STANDARD['webhook-id']}.{NOW}.".encode() + STANDARD_BODY
    right = "v1a," + b64encode(key.sign(signed)).decode()
    written = {"standard-webhooks": "whpk_" + b64encode(public).decode()}

    sender = check(written, {**STANDARD, "webhook-signature": f"v1,x {right}"}, STANDARD_BODY)

    assert sender.id == STANDARD["webhook-id"]
    for wrong in (right[:-4], right.replace("v1a,", "v1,"), "v1a,", "v1a," + "A" * 88):
        with pytest.raises(Unverified):
            check(written, {**STANDARD, "webhook-signature": wrong}, STANDARD_BODY)


def test_a_public_key_signs_nothing():
    """An attacker who knows the public key cannot use it as an HMAC secret."""
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signed = f"{STANDARD['webhook-id']}.{NOW}.".encode() + STANDARD_BODY
    forged = b64encode(hmac.digest(bytes.fromhex(public), signed, hashlib.sha256)).decode()
    written = {"standard-webhooks": "whpk_" + b64encode(bytes.fromhex(public)).decode()}

    with pytest.raises(Unverified):
        check(written, {**STANDARD, "webhook-signature": f"v1,{forged}"}, STANDARD_BODY)


def test_basic_credentials():
    """The user names the sender; anything else about the header refuses."""
    written = {"basic": {"secrets": ["ann:pässword", "bob:b"]}}
    good = b64encode("ann:pässword".encode()).decode()

    ann = check(written, {"authorization": f"Basic {good}"})
    bob = check(written, {"authorization": "basic " + b64encode(b"bob:b").decode()})

    assert ann.name != bob.name
    assert "ann" not in ann.name
    for wrong in ("", "Basic", "Basic ", f"Bearer {good}", f"Basic {good}!", "Basic YW5uOg=="):
        with pytest.raises(Unverified):
            check(written, {"authorization": wrong})


def test_bearer_tokens():
    """Each token is a sender of its own, and its name does not tell the token."""
    written = {"bearer": {"secrets": ["token-one", "token-two"]}}

    one = check(written, {"authorization": "Bearer token-one"})
    two = check(written, {"authorization": "bearer token-two"})

    assert one.name != two.name
    assert "token" not in one.name
    for wrong in ("token-one", "Bearer", "Bearer token", "Bearer token-one2", "Basic token-one"):
        with pytest.raises(Unverified):
            check(written, {"authorization": wrong})


def test_api_keys_in_header_and_query():
    """The key may be in a header (X-Api-Key) or in one query name."""
    assert check({"api-key": "k"}, {"x-api-key": "k"})
    assert check({"api-key": {"header": "X-Mine", "secrets": ["k"]}}, {"x-mine": "k"})
    in_query = {"api-key": {"query": "token", "secrets": ["kä"]}}
    assert check(in_query, {}, query={"token": "kä"})
    for query in ({}, {"token": ""}, {"token": "k"}, {"token": ["kä", "kä"]}):
        with pytest.raises(Unverified):
            check(in_query, {"x-api-key": "kä"}, query=query)


def test_an_unsigned_id_does_not_replace_a_signed_time():
    """A recorded request with another id header is still the same delivery."""
    written = {
        "hmac": {
            "header": "X-Sig", "signed": "{timestamp}.{body}", "timestamp": "X-Time",
            "id": "X-Id", "secrets": ["k"],
        }
    }  # fmt: skip
    signature = hexed(b"k", b"%d.{}" % NOW)
    headers = {"x-sig": signature, "x-time": str(NOW)}

    first = check(written, {**headers, "x-id": "1"})
    second = check(written, {**headers, "x-id": "2"})

    assert first == second == Sender("hmac", signature)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({}, "verify takes exactly one scheme"),
        ({"github": "a", "gitlab": "b"}, "verify takes exactly one scheme"),
        ({"standard-webhooks": "whsec_!"}, "whsec_ or whpk_ and base64"),
        ({"standard-webhooks": "whpk_AAAA"}, "whsec_ or whpk_ and base64"),
        ({"basic": "password"}, "the secret is user:password"),
        ({"api-key": {"query": "a", "header": "b", "secrets": ["c"]}}, "not in both"),
        ({"stripe": {"secrets": ["a"], "tolerance": "2d"}}, "tolerance 2d is too long: at most 1d"),
        ({"hmac": {"header": "a", "secrets": ["b"], "signed": "{id}"}}, "must contain {body}"),
        ({"hmac": {"header": "a", "secrets": ["b"], "signed": "{id}{body}"}}, "name its header"),
        ({"hmac": {"header": "a", "secrets": ["b"], "timestamp": "c"}}, "unsigned time"),
        ({"hmac": {"header": "a", "secrets": ["xy"], "key_encoding": "hex"}}, "is not hex"),
        ({"hmac": {"header": "a", "secrets": ["x"], "key_encoding": "base64"}}, "is not base64"),
    ],
)
def test_a_config_that_would_prove_nothing_is_refused(written, message):
    """The message names the scheme and says what to write."""
    with pytest.raises(ValueError, match=message):
        verifier(schemes(written))


def test_what_carries_proof_is_known():
    """The headers and the query name that must not be stored."""
    assert "x-hub-signature" in verifier(schemes({"github": "s"})).hidden
    assert verifier(schemes({"api-key": {"query": "t", "secrets": ["s"]}})).hidden_query == "t"
    assert verifier(schemes({"api-key": "s"})).hidden == {"x-api-key"}
