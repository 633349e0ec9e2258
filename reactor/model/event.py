"""One thing that happened.

As a source received it, as the store keeps it, and what became of it.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Received(Struct, frozen=True, kw_only=True, gc=False):
    """What a source hands to `emit`.

    `fields` are the source's own names beside `event.data` (declared by its Spec). `identity` is
    unique per
    source instance; `digest` (of the body) tells a repeat from another body under the same
    identity; it is known for `known_secs` (None: for ever).
    `position` is stored in the same commit, and so are `places`: positions by name, for sources
    that follow many things at once; None forgets one. `undecodable` says why raw `data` could not
    be decoded: it goes to the dead letters. `wait` asks for the outcome of the execution.
    """

    data: Any
    fields: dict[str, Any] = {}
    type: str | None = None
    key: str | None = None
    identity: str | None = None
    known_secs: float | None = None
    digest: bytes | None = None
    time_ms: int | None = None
    position: Any = None
    places: Mapping[str, Any] = {}
    undecodable: str | None = None
    parent: int | None = None
    depth: int = 0
    wait: bool = False


class Event(Struct, frozen=True, gc=False):
    """An event as the store keeps it.

    `source` is the word, `instance` the subscription it came from.
    """

    id: int
    source: str
    instance: str
    received_ms: int
    time_ms: int
    type: str | None
    key: str | None
    depth: int
    data: Any
    fields: dict[str, Any]


class Outcome(Struct, frozen=True):
    """How an execution ended, or the reply it gave on the way, for `respond: {when: done}`.

    `state` is `replied`, `ok`, `failed`, `cancelled` or `skipped`; `reply` is what `reply` rendered
    (`{status, headers, json/text/body}`), `output` the flow's output, `error_kind` why it failed.
    """

    execution: int
    state: str
    reply: dict[str, Any] | None = None
    output: Any = None
    error_kind: str | None = None


class Started(Struct, frozen=True, gc=False):
    """One execution that an event started."""

    flow: str
    execution: int


class Receipt(Struct, frozen=True, gc=False):
    """What became of an event, given after its commit.

    `event` is None when no flow wanted it (nothing was stored). A duplicate carries the first
    one's ids;
    `conflict` means the same identity came with another body. `refused_secs` is set when a
    throttle refused
    it. `outcome` is there when `Received.wait` asked for it and one execution started.
    `unwanted` is the id by which `why` knows an event that no flow wanted.
    """

    event: int | None
    executions: tuple[Started, ...] = ()
    held: tuple[str, ...] = ()
    duplicate: bool = False
    conflict: bool = False
    refused_secs: float | None = None
    outcome: asyncio.Future[Outcome] | None = None
    unwanted: int | None = None
