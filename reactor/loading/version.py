"""A flow's content hash, and the plain data that makes the same flow again."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from reactor.loading.values import MapValue, plain
from reactor.model.flow import Defaults

# Kept inside the document; no user's key begins with a dollar sign.
DEFAULTS_KEY = "$defaults"
_NOT_HASHED = ("about", "labels", "tests", "enabled", "keep")
_FLOW_WINS = {"retry": "retry", "timeout_secs": "timeout", "run": "run"}


def document_of(flow: MapValue, defaults: Defaults) -> dict[str, Any]:
    """The plain data of a flow, with the defaults that it uses."""
    document: dict[str, Any] = {
        entry.key.text: plain(entry.value) for entry in flow.entries if entry.key.text != "tests"
    }
    if used := _used(document, defaults):
        document[DEFAULTS_KEY] = used
    return document


def version_of(document: Mapping[str, Any]) -> str:
    """The hash of what a flow does; what it is called and how long it is kept does not count."""
    hashed = {key: value for key, value in document.items() if key not in _NOT_HASHED}
    return hashlib.sha256(msgspec.json.encode(hashed, order="sorted")).hexdigest()


def defaults_of(document: Mapping[str, Any], now: Defaults) -> Defaults:
    """The defaults that a document was read with; how long to keep is always today's."""
    used = document.get(DEFAULTS_KEY, {})
    return Defaults(
        retry=used.get("retry"),
        timeout_secs=used.get("timeout_secs"),
        run=used.get("run"),
        tz=used.get("tz", "UTC"),
        keep=now.keep,
    )


def _used(document: Mapping[str, Any], defaults: Defaults) -> dict[str, Any]:
    used = {
        name: value
        for name, key in _FLOW_WINS.items()
        if key not in document and (value := getattr(defaults, name)) is not None
    }
    if defaults.tz != "UTC":
        used["tz"] = defaults.tz
    return used
