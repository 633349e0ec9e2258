"""HTTP: requests that start flows, and requests that flows send."""

from reactor.connectors.http.action import http as http_action
from reactor.connectors.http.source import http as http_source

__all__ = ["http_action", "http_source"]
