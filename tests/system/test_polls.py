"""A daemon that polls, killed and started again."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.system.conftest import eventually

FLOW = """
flow: orders
when:
  poll:
    get: /orders
    connection: shop
    every: 1s
    items: event.data.orders
    id: event.data.number
  key: event.data.number
only_if: event.data.total > 0
do:
  - file.append: {path: orders.txt, text: "order ${{ event.data.number }},"}
"""


class Shop:
    """A web service with orders."""

    def __init__(self) -> None:
        self.orders: list[dict[str, int]] = []
        self.asked = 0
        shop = self

        class Asked(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                right = self.headers["authorization"] == "Bearer s3cret-token"
                body = json.dumps({"orders": shop.orders}).encode()
                self.send_response(200 if right else 401)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                shop.asked += 1

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Asked)


@pytest.fixture
def shop() -> Iterator[Shop]:
    """The service, on a free port."""
    shop = Shop()
    Thread(target=shop.server.serve_forever, daemon=True).start()
    yield shop
    shop.server.shutdown()
    shop.server.server_close()


def told(daemon: Any) -> list[str]:
    """The numbers of the orders for which a flow ran."""
    file = daemon.folder / "orders.txt"
    return file.read_text().split(",")[:-1] if file.exists() else []


def looks(shop: Shop, count: int) -> None:
    """Wait for so many looks more."""
    until = shop.asked + count
    eventually(lambda: shop.asked >= until, "another look")


def test_each_item_once_over_a_kill(daemon: Any, shop: Shop) -> None:
    """What was there first is noted, each new item is told once, also after kill -9."""
    base = f"http://127.0.0.1:{shop.server.server_port}"
    auth = '{bearer: "${{ secrets.shop }}"}'
    (daemon.folder / "reactor.yaml").write_text(
        f'connections: {{shop: {{http: {{base: "{base}", auth: {auth}}}}}}}\n'
    )
    daemon.secret("shop", "s3cret-token")
    daemon.flow("orders", FLOW)
    shop.orders = [{"number": 1, "total": 5}]
    daemon.start()
    looks(shop, 1)

    shop.orders += [{"number": 2, "total": 5}, {"number": 3, "total": 0}]
    eventually(lambda: told(daemon) == ["order 2"], "the new order")
    looks(shop, 1)
    daemon.kill()
    shop.orders += [{"number": 4, "total": 5}]
    daemon.start()
    eventually(lambda: told(daemon) == ["order 2", "order 4"], "the order of meanwhile")
    looks(shop, 2)

    assert told(daemon) == ["order 2", "order 4"]
    (source,) = daemon.api.get("sources")["items"]
    assert (source["state"], source["detail"]) == ("up", "4 items known")
