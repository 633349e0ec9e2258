"""Load on a webhook from another process: `wrk` where it is installed, else our own client."""

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

CONNECTIONS = 32
ORDER = {
    "id": 4711,
    "total": 149.5,
    "currency": "EUR",
    "customer": {"name": "Ada Lovelace", "email": "ada@example.com", "since": "2019-04-01"},
    "lines": [
        {"sku": "AB-1001", "count": 2, "price": 49.5, "name": "lamp"},
        {"sku": "CD-2002", "count": 1, "price": 50.5, "name": "chair"},
    ],
    "note": "please ring twice",
}
BODY = msgspec.json.encode(ORDER)
SCRIPT = """\
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[%s]]
done = function(summary, latency)
  local errors = summary.errors
  local others = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '\\n{"accepted": %%d, "others": %%d, "secs": %%f, "p50_ms": %%f, "p99_ms": %%f}\\n',
    summary.requests - errors.status, others, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


class Told(Struct, frozen=True):
    """What the client saw: answers 202, all others, and how long answers took."""

    accepted: int
    others: int
    secs: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Accepted events in a second."""
        return self.accepted / self.secs


def client_name() -> str:
    """Who makes the load."""
    return f"wrk -t1 -c{CONNECTIONS}" if shutil.which("wrk") else f"own client, {CONNECTIONS}"


def post_orders(address: str, secs: float, folder: Path) -> Told:
    """Post the order over 32 connections for so long."""
    wrk = shutil.which("wrk")
    if wrk is None:
        client = str(Path(__file__).with_name("client.py"))
        command = [sys.executable, client, address, str(CONNECTIONS), str(secs)]
    else:
        script = folder / "orders.lua"
        script.write_text(SCRIPT % BODY.decode())
        options = ["-t1", f"-c{CONNECTIONS}", f"-d{round(secs)}s", "-s", str(script)]
        command = [wrk, *options, f"http://{address}/orders"]
    done = subprocess.run(command, input=BODY, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=Told)
