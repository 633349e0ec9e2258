"""Clients that offer webhooks with ids of their own, and what they know of each."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

from msgspec import Struct, field

LARGE_BYTES = 1_200_000


class Offer(Struct):
    """One event as its client sends it, again and again until it is acknowledged."""

    id: str
    path: str
    client: int
    number: int
    large: bool = False

    def request(self) -> bytes:
        """The bytes of the webhook, the same each time."""
        data: dict[str, Any] = {"id": self.id, "client": self.client, "number": self.number}
        if self.large:
            data["fill"] = self.id[0] * LARGE_BYTES
        body = json.dumps(data).encode()
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Idempotency-Key: {self.id}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class History(Struct):
    """Everything that was offered, what was acknowledged with which execution, what is unknown."""

    offered: dict[str, Offer] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    refused: Counter[int] = field(default_factory=Counter)
    contradictions: list[str] = field(default_factory=list)

    @property
    def unknown(self) -> list[str]:
        """Offered, and nobody knows whether it was taken."""
        return [id_ for id_ in self.offered if id_ not in self.accepted]

    def hear(self, offer: Offer, status: int, body: bytes) -> None:
        """Note an answer; a second one for the same id must name the same execution."""
        if status not in (200, 202):
            self.refused[status] += 1
            return
        execution = json.loads(body)["execution"]
        if self.accepted.setdefault(offer.id, execution) != execution:
            self.contradictions.append(offer.id)


class Client:
    """Offers one event after the other; what was not acknowledged comes again before all else.

    `paths` says how many of so many events go where; the number of an event counts within its
    client, so the order in which one client's events are accepted is known.
    """

    def __init__(self, number: int, history: History, paths: dict[str, int], large: int) -> None:
        self._number = number
        self._history = history
        self._large = large
        self._offers = self._make(paths)
        self._open: Offer | None = None

    def _make(self, paths: dict[str, int]) -> Iterator[Offer]:
        ring = [path for path, weight in paths.items() for _ in range(weight)]
        # A step that shares no factor with the ring's length visits all of it, mixed.
        step = next(size for size in (37, 41, 43) if len(ring) % size)
        for number in itertools.count():
            id_ = f"{self._number}-{number}"
            path = ring[(number * step + self._number) % len(ring)]
            large = self._large > 0 and number % self._large == self._large - 1
            yield Offer(id_, path, self._number, number, large)

    async def send(self, address: str, *, most: int | None = None) -> None:
        """Offer on one connection until it breaks, or so many were answered."""
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        with suppress(OSError, asyncio.IncompleteReadError), closing(writer):
            for _ in itertools.count() if most is None else range(most):
                offer = self._open or next(self._offers)
                self._open = self._history.offered[offer.id] = offer
                writer.write(offer.request())
                status, body = await answer(reader)
                self._history.hear(offer, status, body)
                if offer.id in self._history.accepted:
                    self._open = None


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and body of the next answer on a connection."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(lines[0].split()[1]), body
