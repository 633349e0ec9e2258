"""Which check a route's `verify` asks for."""

from collections.abc import Callable

from reactor.connectors.http import callers, credentials, signatures
from reactor.connectors.http.config import ApiKey, Schemes, Secrets, Timed, Twilio
from reactor.connectors.http.proof import Sender, Verifier
from reactor.model.http import Request
from reactor.units import format_duration

_LONGEST_TOLERANCE_SECS = 86_400  # what was heard is remembered for days, so not longer than this

_LONG_FORMS: dict[str, Callable[..., Secrets]] = {
    "stripe": Timed,
    "slack": Timed,
    "standard_webhooks": Timed,
    "api_key": ApiKey,
    "twilio": Twilio,
}
_MAKERS: dict[str, Callable[..., Verifier]] = {
    "github": signatures.github,
    "gitea": signatures.gitea,
    "gitlab": credentials.gitlab,
    "stripe": signatures.stripe,
    "slack": signatures.slack,
    "shopify": signatures.shopify,
    "standard_webhooks": signatures.standard_webhooks,
    "hmac": signatures.generic,
    "basic": credentials.basic,
    "bearer": credentials.bearer,
    "api_key": credentials.api_key,
    "twilio": callers.twilio,
}
# What these list is no secret.
_LISTS: dict[str, Callable[[list[str]], Verifier]] = {"ip": callers.ip, "mtls": callers.mtls}


def verifier(schemes: Schemes) -> Verifier:
    """The checks that a config asks for; ValueError says what is missing in it."""
    chosen = [
        (name, value)
        for name in schemes.__struct_fields__
        if (value := getattr(schemes, name)) is not None
    ]
    if len(chosen) != 1:
        raise ValueError("verify takes exactly one scheme, such as {github: secret}, or none")
    name, value = chosen[0]
    if name in _LISTS:
        listed = [value] if isinstance(value, str) else value
        if not all(listed) or not listed:
            raise ValueError(f"verify {name}: the list is empty: nobody could call")
        return _LISTS[name](listed)
    if isinstance(value, str):
        value = _LONG_FORMS.get(name, Secrets)(secrets=[value])
    if not value.secrets or not all(value.secrets):
        raise ValueError(f"verify {name}: the secret is empty: set it, an empty one proves nothing")
    tolerance = getattr(value, "tolerance", 0)
    if tolerance > _LONGEST_TOLERANCE_SECS:
        raise ValueError(
            f"verify {name}: tolerance {format_duration(tolerance)} is too long: at most 1d"
        )
    return _MAKERS[name](value)


def anyone(request: Request, now: int) -> Sender:
    """Believe every caller: `verify: none`."""
    return Sender("anyone")
