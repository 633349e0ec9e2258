"""What one request of the API is: the endpoint it came to, what it says, whom it may ask."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

from reactor.clock import Clock
from reactor.store import History
from reactor.web.admin.control import Control


class Access(Struct, frozen=True):
    """What an endpoint may ask: the running daemon, what is stored, the time."""

    control: Control
    history: History
    clock: Clock


class Call(Struct, frozen=True):
    """One request, decoded: the names in its path, its query, its body, and who asks."""

    names: Mapping[str, str]
    query: Any = None
    body: Any = None
    caller: str = ""


class Endpoint(Struct, frozen=True, kw_only=True):
    """One method of one path below the prefix.

    `query` and `body` are the structs that are asked for; a body whose fields all have defaults
    may be left out. `answers` is a struct, or the media type of a text.
    """

    method: str
    path: str
    about: str
    answers: Any
    query: Any = None
    body: Any = None

    @property
    def name(self) -> str:
        """What client generators call it: `get_flows`, `post_flows_flow_pause`."""
        words = self.path.strip("/").replace(".", "_").replace("{", "").replace("}", "")
        return "_".join([self.method.lower(), *words.split("/")])


class Question(Endpoint, frozen=True, kw_only=True):
    """An endpoint with one answer."""

    answer: Callable[[Access, Call], Awaitable[Any]]
