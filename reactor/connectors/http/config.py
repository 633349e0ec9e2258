"""What stands under an `http` trigger."""

from typing import Annotated, Any, Literal

from reactor.plugin.spec import Config, Fields, doc
from reactor.units import Duration, Size

_FIVE_MINUTES = Duration(300)


class Secrets(Config, frozen=True, kw_only=True):
    """Secrets of a scheme; several while one replaces another."""

    secrets: Annotated[list[str], doc("Each of them is accepted.", ["${{ secrets.hook }}"])]


class Timed(Secrets, frozen=True, kw_only=True):
    """Secrets of a scheme that signs the time."""

    tolerance: Annotated[
        Duration, doc("How far the signed time may be from ours.", form="literal")
    ] = _FIVE_MINUTES


class ApiKey(Secrets, frozen=True, kw_only=True):
    """A key in a header or in the query."""

    header: Annotated[str | None, doc("The key's header (X-Api-Key).", form="literal")] = None
    query: Annotated[str | None, doc("The key's name in the query.", form="literal")] = None


class Generic(Timed, frozen=True, kw_only=True):
    """An HMAC over the body, as many services send it, each with its own names."""

    header: Annotated[str, doc("The signature's header.", "X-Signature", form="literal")]
    prefix: Annotated[str, doc("What stands before it.", "sha256=", form="literal")] = ""
    algorithm: Annotated[
        Literal["sha256", "sha1", "sha384", "sha512"], doc("The hash.", form="literal")
    ] = "sha256"
    encoding: Annotated[
        Literal["hex", "base64"], doc("How the signature is written.", form="literal")
    ] = "hex"
    key_encoding: Annotated[
        Literal["text", "hex", "base64"], doc("How the secret is written.", form="literal")
    ] = "text"
    signed: Annotated[
        str,
        doc("What is signed: {body}, {timestamp}, {id}.", "{timestamp}.{body}", form="literal"),
    ] = "{body}"
    timestamp: Annotated[
        str | None, doc("The header with the time, in seconds.", form="literal")
    ] = None
    id: Annotated[str | None, doc("The header with the delivery's id.", form="literal")] = None


class Twilio(Secrets, frozen=True, kw_only=True):
    """The account's token, and where Twilio believes to call."""

    url: Annotated[
        str | None,
        doc(
            "What stands before the path in the address that Twilio calls, where a proxy in front "
            "changes Host.",
            "https://hooks.example.org",
            form="literal",
        ),
    ] = None


class Schemes(
    Config,
    frozen=True,
    kw_only=True,
    rename={"standard_webhooks": "standard-webhooks", "api_key": "api-key"},
):
    """How a webhook's sender proves who it is: one scheme and its secret."""

    github: Annotated[str | Secrets | None, doc("X-Hub-Signature-256.")] = None
    gitea: Annotated[str | Secrets | None, doc("X-Gitea-Signature (Forgejo too).")] = None
    gitlab: Annotated[str | Secrets | None, doc("X-Gitlab-Token.")] = None
    stripe: Annotated[str | Timed | None, doc("Stripe-Signature.")] = None
    slack: Annotated[str | Timed | None, doc("X-Slack-Signature.")] = None
    shopify: Annotated[str | Secrets | None, doc("X-Shopify-Hmac-SHA256.")] = None
    standard_webhooks: Annotated[
        str | Timed | None, doc("webhook-signature or svix-signature; whsec_… or whpk_…")
    ] = None
    hmac: Annotated[Generic | None, doc("Any other HMAC over the body.")] = None
    basic: Annotated[str | Secrets | None, doc("user:password.")] = None
    bearer: Annotated[str | Secrets | None, doc("Authorization: Bearer.")] = None
    api_key: Annotated[str | ApiKey | None, doc("A key in a header or the query.")] = None
    twilio: Annotated[str | Twilio | None, doc("X-Twilio-Signature; the account's token.")] = None
    ip: Annotated[
        str | list[str] | None,
        doc("Addresses and networks; after server.trusted_proxies.", ["192.0.2.0/24"]),
    ] = None
    mtls: Annotated[
        str | list[str] | None,
        doc(
            "Names in a client certificate that server.tls.client_ca vouches for; * is any.",
            ["billing.example.org"],
        ),
    ] = None


class Late(Config, frozen=True, kw_only=True):
    """The answer when the flow is not done in time."""

    status: Annotated[int, doc("Its status.", form="literal")] = 202
    json: Annotated[Any, doc("Its body; without one the ids.", form="literal")] = None


class WhenDone(Config, frozen=True, kw_only=True):
    """Answer with what the flow gives."""

    when: Annotated[Literal["done"], doc("The flow has replied or ended.", form="literal")]
    timeout: Annotated[Duration, doc("How long the caller waits.", form="literal")] = Duration(30)
    late: Annotated[Late, doc("The answer after that; the flow goes on.")] = Late()


class Origins(Config, frozen=True, kw_only=True):
    """Which browsers' pages may call."""

    origins: Annotated[
        list[str], doc("Exact origins, or *.", ["https://app.example"], form="literal")
    ]
    headers: Annotated[tuple[str, ...], doc("Headers they may send.", form="literal")] = (
        "content-type",
    )
    max_age: Annotated[Duration, doc("How long they may remember this.", form="literal")] = (
        Duration(600)
    )


class Hook(Config, frozen=True, kw_only=True):
    """A path of the webhook listener."""

    path: Annotated[
        str, doc("The path; {name} stands for one segment.", "/hooks/github", form="literal")
    ]
    verify: Annotated[
        Schemes | Literal["none"],
        doc(
            "How the caller proves who it is; none on loopback only.",
            {"github": "…"},
            hint='a webhook says how it trusts its caller: {github: "${{ secrets.x }}"} … '
            "or none (loopback only)",
        ),
    ]
    method: Annotated[
        Literal["POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"],
        doc("The method.", form="literal"),
    ] = "POST"
    body: Annotated[
        Literal["auto", "json", "form", "text", "bytes"],
        doc("What the body is; auto asks Content-Type.", form="literal"),
    ] = "auto"
    max_body: Annotated[Size, doc("The longest body.", form="literal")] = Size(1 << 20)
    respond: Annotated[
        WhenDone | Literal["accepted"],
        doc("Answer when it is on disk, or when the flow is done.", form="literal"),
    ] = "accepted"
    cors: Annotated[Origins | None, doc("Pages that may call.", form="literal")] = None


class HookFields(Fields, frozen=True, kw_only=True):
    """What a request brings."""

    headers: Annotated[
        dict[str, str], doc("Headers, names in lower case, without credentials and signatures.")
    ]
    query: Annotated[dict[str, Any], doc("Query names; a list where one occurs several times.")]
    path_params: Annotated[dict[str, str], doc("What the {name} segments hold.")]
    body: Annotated[Any, doc("The body, the same as data.")]
    method: Annotated[str, doc("The method.")]
    address: Annotated[str, doc("The client's IP address.")]
