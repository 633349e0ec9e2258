"""Tells whoever listens what happens now; costs nothing while nobody does."""

from collections.abc import Callable, Mapping

from reactor.ids import id_text

Hear = Callable[[str, Mapping[str, str | None]], None]


class Bell:
    """Look at `listeners` before you `ring`: mostly there are none."""

    def __init__(self) -> None:
        self.listeners: list[Hear] = []

    def ring(
        self,
        kind: str,
        *,
        flow: str | None = None,
        event: int | None = None,
        execution: int | None = None,
        step: str | None = None,
        state: str | None = None,
    ) -> None:
        """Something happened."""
        facts = {
            "flow": flow,
            "event": None if event is None else id_text("evt", event),
            "execution": None if execution is None else id_text("exe", execution),
            "step": step,
            "state": state,
        }
        for hear in self.listeners:
            hear(kind, facts)
