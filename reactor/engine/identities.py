"""What has come in before: committed names from the store, and those on their way to it."""

from collections.abc import Callable, Mapping, Sequence

from reactor.store import Identity, Store, Write

Name = tuple[str, str]
Known = Mapping[Name, Identity]


class Identities:
    """Recognises repeats, also of an event whose first one is not committed yet."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._flight: dict[Name, Identity] = {}

    def ask(self, names: Sequence[Name], then: Callable[[dict[Name, Identity]], None]) -> None:
        """Look names up among what is committed; `then` is called at once or later, in order."""

        def known(found: list[Identity | None]) -> None:
            rows = zip(names, found, strict=True)
            then({name: row for name, row in rows if row is not None})

        self._store.known(names, known)

    def first(self, name: Name, known: Known, now_ms: int) -> Identity | None:
        """The first one of a name, unless its time is over."""
        row = known.get(name) or self._flight.get(name)
        if row is not None and row.until_ms is not None and row.until_ms <= now_ms:
            return None
        return row

    def record(self, write: Write, row: Identity) -> None:
        """Store a name with the write, and know it until then."""
        write.identities.append(row)
        self._flight[row.scope, row.identity] = row

    def committed(self, rows: Sequence[Identity]) -> None:
        """These are in the store now."""
        for row in rows:
            self._flight.pop((row.scope, row.identity), None)
