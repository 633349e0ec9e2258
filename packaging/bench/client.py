"""A small load of its own process, for machines without `wrk`: connections that post one body."""

import asyncio
import json
import sys
import time

import uvloop


class Caller(asyncio.Protocol):
    """One connection: the next request leaves when the answer to the last one is there."""

    def __init__(self, request: bytes, until: float) -> None:
        self.accepted = 0
        self.others = 0
        self.spans: list[float] = []
        self.ended = asyncio.get_running_loop().create_future()
        self._request = request
        self._until = until
        self._read = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send()

    def data_received(self, data: bytes) -> None:
        """Read an answer; all of them say their length."""
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0] or 0)
        if len(body) < length:
            return
        self._read = body[length:]
        now = time.perf_counter()
        self.spans.append(now - self._sent)
        if head.startswith(b"HTTP/1.1 202"):
            self.accepted += 1
        else:
            self.others += 1
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if not self.ended.done():
            self.ended.set_result(None)

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


async def call(address: str, body: bytes, connections: int, secs: float) -> dict[str, float]:
    """What came of posting a body over and over."""
    host, _, port = address.rpartition(":")
    head = f"POST /orders HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    callers = []
    for _ in range(connections):
        made = loop.create_connection(lambda: Caller(request, began + secs), host, int(port))
        callers.append((await made)[1])
    await asyncio.gather(*(caller.ended for caller in callers))
    took = time.perf_counter() - began
    spans = sorted(span for caller in callers for span in caller.spans)
    return {
        "accepted": sum(caller.accepted for caller in callers),
        "others": sum(caller.others for caller in callers),
        "secs": took,
        "p50_ms": spans[len(spans) // 2] * 1000,
        "p99_ms": spans[len(spans) * 99 // 100] * 1000,
    }


if __name__ == "__main__":
    found = uvloop.run(
        call(sys.argv[1], sys.stdin.buffer.read(), int(sys.argv[2]), float(sys.argv[3]))
    )
    print(json.dumps(found))
