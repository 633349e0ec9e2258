"""What an internal source asks of an event before any condition: fields that are like a pattern."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from reactor.model.flow import Trigger


def matched(trigger: Trigger, view: Mapping[str, Any]) -> bool:
    """Whether an event is one that a trigger means."""
    for field, pattern in trigger.match:
        value: Any = view
        for name in match_path(field):
            value = value.get(name) if isinstance(value, dict) else None
        if value != pattern and not (isinstance(value, str) and matches(value, pattern)):
            return False
    return True


def matches(text: str, pattern: str) -> bool:
    """Whether a text is like a pattern, in which only `*` is special."""
    return _pattern(pattern).fullmatch(text) is not None


def match_path(field: str) -> tuple[str, ...]:
    """Where in an event a field of `match` is."""
    return (field,) if field == "type" else ("data", field)


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
