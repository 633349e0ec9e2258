"""The world around a simulated daemon: a broker that delivers, an outside that steps touch."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Struct

from reactor.errors import ActionFailed, SourceFailed
from reactor.model.event import Received
from reactor.plugin.context import ActionContext, Emit, SourceContext
from reactor.plugin.spec import Config, Fields, Spec, action, doc, source


class Message(Struct, frozen=True):
    """One thing that the broker delivers until it is acknowledged."""

    id: int
    kind: str
    key: str
    size: int
    published_ms: int


class Call(Struct):
    """One attempt at touching the outside."""

    life: int
    flow: str
    execution: str
    step: str
    key: str
    attempt: int
    given: Any
    began_ms: int
    ended: str = ""  # ok, failed, gone


class Feed(Config, frozen=True):
    """Which feed."""

    name: Annotated[str, doc("The feed.", "main")]


class Touch(Config, frozen=True):
    """What the outside is told; it answers with the same."""

    given: Annotated[Any, doc("Anything.", 1)] = None
    fails: Annotated[bool, doc("Whether every attempt fails for good.", form="literal")] = False


class Outside:
    """Everything that is not the daemon, driven by one seed; it outlives the daemon's lives.

    `tell` hears each thing that happens, for the trace.
    """

    def __init__(self, chance: random.Random, tell: Callable[..., None]) -> None:
        self.life = 0
        self.alive = True
        self.calls: list[Call] = []
        self.acknowledged: dict[int, int] = {}
        self.cancelled: set[int] = set()
        self.answers: list[tuple[int, str | None]] = []
        self.delivered: set[int] = set()
        self.overlaps: list[str] = []
        self.most: Counter[str] = Counter()
        self._at_work: dict[str, Counter[str]] = defaultdict(Counter)
        self._messages: list[Message] = []
        self._arrived = asyncio.Event()
        self._chance = chance
        self._tell = tell
        self.specs: list[Spec] = [
            source(
                "feed", examples=["feed: {name: main}"], fields=Fields, identity=("the message",)
            )(self._feed),
            action("touch", examples=["touch: {given: 1}"], transient=(OSError,))(self._touch),
        ]

    @property
    def messages(self) -> list[Message]:
        """All that was ever published."""
        return self._messages

    @property
    def open(self) -> list[Message]:
        """What is not acknowledged."""
        return [one for one in self._messages if one.id not in self.acknowledged]

    def publish(self, message: Message) -> None:
        """Something new to deliver."""
        self._messages.append(message)
        self._arrived.set()

    def reborn(self) -> None:
        """The daemon starts anew: nothing is at work, events belong to its loop."""
        self.life += 1
        self.alive = True
        self._at_work.clear()
        self._arrived = asyncio.Event()

    # ---- what the daemon calls

    async def _feed(self, config: Feed, emit: Emit, context: SourceContext) -> None:
        """Messages of the broker, some of them twice."""
        context.up()
        chance = self._chance
        while True:
            waiting = self.open
            if not waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            batch = waiting[: chance.randint(1, 8)]
            if chance.random() < 0.1:
                batch = [*batch, chance.choice(batch)]
            if chance.random() < 0.1:  # something acknowledged comes again
                batch = [chance.choice(self._messages), *batch]
            self.delivered.update(one.id for one in batch)
            await asyncio.sleep(chance.expovariate(20))
            await emit.many([self._received(one) for one in batch])
            if chance.random() < 0.1:
                raise SourceFailed("the broker went away before it heard of it")
            if self.alive:
                now_ms = context.clock.now_ms()
                for one in batch:
                    self.acknowledged.setdefault(one.id, now_ms)
                self._tell("acknowledged", [one.id for one in batch])

    @staticmethod
    def _received(message: Message) -> Received:
        data: dict[str, Any] = {"id": message.id, "kind": message.kind, "key": message.key}
        data |= {"items": list(range(message.size)), "even": message.size % 2 == 0}
        return Received(data=data, key=message.key, identity=str(message.id))

    async def _touch(self, config: Touch, context: ActionContext) -> Any:
        """Take a while, then answer, fail, or never end."""
        call = Call(
            self.life, context.flow, context.execution, context.step, context.key,
            context.attempt, config.given, context.clock.now_ms(),
        )  # fmt: skip
        self.calls.append(call)
        working = self._at_work[call.flow]
        working[call.execution] += 1
        self.most[call.flow] = max(self.most[call.flow], len(working))
        self._tell("begins", call.execution, call.step, call.key, call.attempt)
        try:
            await self._take_a_while()
            call.ended = self._outcome(config)
        finally:
            call.ended = call.ended or "gone"
            working[call.execution] -= 1
            working += Counter()  # drops those at zero
            if self.alive:
                self._tell("ends", call.execution, call.step, call.ended)
        if call.ended == "failed":
            raise ActionFailed("the outside fails", transient=not config.fails)
        return config.given

    async def _take_a_while(self) -> None:
        luck = self._chance.random()
        if luck < 0.03:
            await asyncio.sleep(1000)  # longer than any timeout
        elif luck < 0.9:
            await asyncio.sleep(self._chance.expovariate(4))

    def _outcome(self, config: Touch) -> str:
        return "failed" if config.fails or self._chance.random() < 0.15 else "ok"
