"""HTTP: requests that start flows, and requests that flows send."""

from reactor.connectors.http.action import http as http_action

__all__ = ["http_action"]
