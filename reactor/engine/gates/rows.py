"""Rows of gates in memory: those on their way to the disk, and those that were used last."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from reactor.engine.gates.moves import Mark
from reactor.store import Store, Write
from reactor.store.gated import GateName, GateRow

KNOWN = 10_000  # rows of quiet keys are read again from the store
Found = Mapping[GateName, GateRow | None]


class Rows:
    """What each gate remembers of each key, committed or not.

    All changes go through here, so what is known is never older than the store. A row that is not
    on disk yet stays; of the others those used last.
    """

    def __init__(self, store: Store, *, most: int = KNOWN) -> None:
        self._store = store
        self.most = most
        self._flight: dict[GateName, tuple[GateRow, int]] = {}
        self._quiet: OrderedDict[GateName, GateRow | None] = OrderedDict()

    @property
    def known(self) -> int:
        """How many committed rows are in memory."""
        return len(self._quiet)

    def ask(self, names: Sequence[GateName], then: Callable[[Found], None]) -> None:
        """Have these rows at hand; `then` is called at once or later."""
        missing = [name for name in names if name not in self._flight and name not in self._quiet]
        if not missing:
            then({})
            return

        def found(rows: list[GateRow | None]) -> None:
            fresh = dict(zip(missing, rows, strict=True))
            for name, row in fresh.items():
                if name not in self._flight and name not in self._quiet:
                    self._keep(name, row)
            then(fresh)

        self._store.gates.find(missing, found)

    def get(self, name: GateName, found: Found) -> Mark | None:
        """What is remembered now of what was asked for."""
        if (flying := self._flight.get(name)) is not None:
            row: GateRow | None = flying[0]
        elif name in self._quiet:
            self._quiet.move_to_end(name)
            row = self._quiet[name]
        else:
            row = found[name]
        if row is None or row.state is None:
            return None
        return Mark(row.state, row.due_ms, row.event)

    def put(self, write: Write, name: GateName, mark: Mark | None) -> None:
        """Remember it with this write."""
        if mark is None:
            row = GateRow(*name, None)
        else:
            row = GateRow(*name, mark.state, mark.due_ms, mark.event)
        write.gates.append(row)
        count = self._flight[name][1] if name in self._flight else 0
        self._flight[name] = (row, count + 1)
        self._quiet.pop(name, None)

    def committed(self, rows: Sequence[GateRow]) -> None:
        """These are in the store now."""
        for row in rows:
            name = row.name
            newest, count = self._flight[name]
            if count > 1:
                self._flight[name] = (newest, count - 1)
            else:
                del self._flight[name]
                self._keep(name, newest)

    def _keep(self, name: GateName, row: GateRow | None) -> None:
        self._quiet[name] = None if row is None or row.state is None else row
        self._quiet.move_to_end(name)
        if len(self._quiet) > self.most:
            self._quiet.popitem(last=False)
