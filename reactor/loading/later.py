"""Words of the language that this build does not run; each set empties as they are built."""

from collections.abc import Mapping

DOCUMENTS = frozenset({"step", "connection"})
# Keys inside other keys, by the key around them.
FIELDS: Mapping[str, frozenset[str]] = {
    "run": frozenset({"cancel_on", "lock", "priority"}),
    "window": frozenset({"cron", "slide", "session", "late"}),
    "http": frozenset({"pages", "ack"}),
    "kafka": frozenset({"ack"}),
    "wait": frozenset({"by"}),
}
