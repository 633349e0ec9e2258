"""Flows by content hash: an execution runs the version that it began with."""

from collections.abc import Callable, Sequence

from reactor.errors import ReactorError
from reactor.model.flow import Flow
from reactor.store import Store, Version


class Versions:
    """Versions that are loaded, or were compiled from the store."""

    def __init__(self, store: Store, compile_flow: Callable[[Version], Flow]) -> None:
        self._store = store
        self._compile = compile_flow
        self._flows: dict[str, Flow] = {}

    async def find(self, hash_: str) -> Flow:
        """The flow of a content hash, compiled once."""
        flow = self._flows.get(hash_)
        if flow is None:
            found = await self._store.versions([hash_])
            if not found:
                message = f"the flow version {hash_[:12]} is not in the store"
                raise ReactorError(message)
            flow = self._flows[hash_] = self._compile(found[0])
        return flow

    def know(self, flows: Sequence[Flow]) -> None:
        """Flows that are loaded now need not be compiled from the store."""
        for flow in flows:
            self._flows[flow.version] = flow
