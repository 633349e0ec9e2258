"""When X happens, do Y, then Z, unless A, and only if B."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["Reactor", "__version__", "action", "flow", "source"]

# The embedded API: name → the room it lives in, imported when it is first asked for.
_ROOMS = {
    "Reactor": "reactor.embedded",
    "flow": "reactor.embedded",
    "action": "reactor.plugin.spec",
    "source": "reactor.plugin.spec",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'reactor' has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)
