"""One connection to a broker: aiomqtt, with messages acknowledged when we say so.

Imported when a flow first needs it, because it pulls the library.
"""

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import aiomqtt
from msgspec import Struct
from paho.mqtt.client import (
    MQTT_CLEAN_START_FIRST_ONLY,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
)
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from reactor.connectors.mqtt.config import Address, Server, address_of
from reactor.errors import SourceFailed
from reactor.plugin.cancelling import heed_cancellation
from reactor.plugin.reach import Tls, tls_context, why

ANSWER_SECS = 5.0
# A line on which nothing comes for twice this time is dead.
_KEEPALIVE_SECS = 10
# How many messages a broker may send before the first of them is acknowledged (MQTT 5).
_MOST_UNACKNOWLEDGED = 1000
# What may wait here of messages that nobody acknowledges; what comes beyond is lost, and said so.
_MOST_WAITING = 10_000
_FOR_EVER_SECS = 0xFFFF_FFFF
_LOG = logging.getLogger("reactor.source.mqtt.library")
# Reasons of a refusal that only a person can mend: login, rights, client id, protocol version.
_UNKNOWN_VERSION = 132
_REFUSED = {_UNKNOWN_VERSION, 133, 134, 135, 138, 140}
# Of a line and of a subscription: something is wrong, and no word of what.
_BROKEN = 128
_SILENT = 141
_TAKEN_OVER = 142


class Subscription(Struct, frozen=True):
    """A topic filter as the broker takes it."""

    topic: str
    qos: int
    retained: bool


class Session(aiomqtt.Client):
    """A connection whose messages wait in order until they are taken.

    `session_present` says whether the broker remembers us; `dropped` counts messages of QoS 0 that
    came faster than they could be stored.
    """

    def __init__(
        self,
        server: Server,
        address: Address,
        *,
        identifier: str | None = None,
        persistent: bool = False,
        will: aiomqtt.Will | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        is_5 = server.version == 5
        properties = None
        if is_5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.ReceiveMaximum = _MOST_UNACKNOWLEDGED
            if persistent:
                properties.SessionExpiryInterval = _FOR_EVER_SECS
        super().__init__(
            address.host,
            address.port,
            username=address.user,
            password=address.password,
            identifier=identifier,
            protocol=aiomqtt.ProtocolVersion.V5 if is_5 else aiomqtt.ProtocolVersion.V311,
            clean_session=None if is_5 else not persistent,
            clean_start=not persistent if is_5 else MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
            will=will,
            timeout=ANSWER_SECS,
            keepalive=_KEEPALIVE_SECS,
            tls_context=tls,
            logger=_LOG,
        )
        # Many steps at once publish on one connection: that is no reason to warn.
        self.pending_calls_threshold = _MOST_WAITING
        self.address = address
        self.is_5 = is_5
        self._persistent = persistent
        self.session_present = False
        self.dropped = 0
        self._client.connect_timeout = ANSWER_SECS
        # The library's own way acknowledges before anybody has stored the message.
        self._client.manual_ack_set(on=True)
        self._client.on_message = self._hear
        if tls is not None:
            secure: Any = partial(_secured, tls, address.host)
            self._client._ssl_wrap_socket = secure  # type: ignore[method-assign] # noqa: SLF001
        self._waiting: deque[MQTTMessage] = deque()
        self._news = asyncio.Event()

    async def open(self) -> None:
        """Connect; `SourceFailed` says why not."""
        try:
            await self.__aenter__()
        except (aiomqtt.MqttError, OSError) as error:
            raise failed(error, self.address) from error
        self._disconnected.add_done_callback(lambda _: self._news.set())
        heed_cancellation()

    async def close(self) -> None:
        """Say goodbye if anybody listens."""
        if self._disconnected.done():
            self._disconnected.exception()  # it is known: nobody need complain that it is not
            return
        with suppress(aiomqtt.MqttError):
            await self.__aexit__(None, None, None)

    async def take(self, most: int) -> list[MQTTMessage]:
        """The next messages, once there are some; `SourceFailed` when the connection is lost.

        What the broker will send again is dropped then.
        """
        if self._disconnected.done() and self._persistent:
            self._waiting = deque(one for one in self._waiting if one.qos == 0)
        while not self._waiting:
            if self._disconnected.done():
                raise self.lost()
            self._news.clear()
            await self._news.wait()
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def __len__(self) -> int:
        return len(self._waiting)

    def acknowledge(self, messages: Sequence[MQTTMessage]) -> None:
        """Tell the broker that these are stored; on a lost connection it will send them again."""
        if self._disconnected.done():
            return
        for message in messages:
            if message.qos > 0:
                self._client.ack(message.mid, message.qos)

    async def subscribe_to(self, wanted: Sequence[Subscription]) -> None:
        """Subscribe; `SourceFailed` names each topic that the broker does not grant as asked."""
        if self.is_5:
            # 0: what is retained comes now; 1: only if the subscription is new; 2: never.
            asked: Any = [
                (one.topic, SubscribeOptions(qos=one.qos, retainHandling=1 if one.retained else 2))
                for one in wanted
            ]
        else:
            asked = [(one.topic, one.qos) for one in wanted]
        answers: Sequence[Any] = await self.subscribe(asked)
        heed_cancellation()
        wrong = [
            said
            for one, answer in zip(wanted, answers, strict=False)
            if (said := _short_of(one, answer)) is not None
        ]
        if wrong:
            raise SourceFailed(f"{self.address} {'; '.join(wrong)}")

    async def forget(self, topics: Sequence[str]) -> None:
        """Unsubscribe from what an earlier life asked for."""
        if topics and self.session_present:
            await self.unsubscribe(list(topics))
            heed_cancellation()

    async def send(self, topic: str, payload: bytes, *, qos: int, retain: bool, user: Any) -> None:
        """Publish, and wait for the broker's word where QoS asks for it."""
        properties = None
        if user and self.is_5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.UserProperty = list(user.items())
        sending = asyncio.ensure_future(
            self.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        )
        try:
            await asyncio.wait([sending, self._disconnected], return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise self.lost()
            sending.result()
        except aiomqtt.MqttError as error:
            raise failed(error, self.address) from error
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended."""
        return self._disconnected.done()

    def lost(self) -> SourceFailed:
        """Why the connection ended."""
        error = self._disconnected.exception() if self._disconnected.done() else None
        if error is None:
            return SourceFailed(f"{self.address} closed the connection", lost=True)
        return failed(error, self.address)

    def _on_connect(
        self,
        client: Any,
        userdata: Any,
        flags: ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.session_present = flags.session_present
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: Any,
        userdata: Any,
        flags: DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():
            # The library would wait for an answer that cannot come any more.
            self._connected.set_exception(aiomqtt.MqttCodeError(reason_code))
            return
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _hear(self, client: Any, userdata: Any, message: MQTTMessage) -> None:
        if message.qos == 0 and len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(message)
        self._news.set()


@asynccontextmanager
async def session(server: Server, **given: Any) -> AsyncIterator[Session]:
    """A connection that stands, closed at the end; `SourceFailed` says why there is none."""
    try:
        address = address_of(server)
        # Reading the machine's list of authorities takes longer than the event loop may stand.
        tls = await asyncio.to_thread(tls_context, server.tls or Tls()) if address.secure else None
    except ValueError as error:
        raise SourceFailed(f"mqtt: {error}") from error
    made = Session(server, address, tls=tls, **given)
    await made.open()
    try:
        yield made
    except aiomqtt.MqttError as error:
        raise failed(error, address) from error
    finally:
        await made.close()


def _short_of(asked: Subscription, answer: Any) -> str | None:
    """What a broker's answer falls short of."""
    code = answer.value if isinstance(answer, ReasonCode) else answer
    if code == _BROKEN:
        return f"refuses topic {asked.topic!r}, and does not say why: may our user read it"
    if code > _BROKEN:
        return f"refuses topic {asked.topic!r}: {answer}"
    if code < asked.qos:
        return (
            f"sends topic {asked.topic!r} with qos {code} only: write qos: {code} if that will do"
        )
    return None


def will_of(topic: str, text: str, qos: int, *, retain: bool) -> aiomqtt.Will:
    """What the broker publishes when we vanish."""
    return aiomqtt.Will(topic, text, qos=qos, retain=retain)


def failed(error: BaseException, address: Address) -> SourceFailed:
    """What the library raised, in words."""
    reason = error.rc if isinstance(error, aiomqtt.MqttCodeError) else None
    code = reason.value if isinstance(reason, ReasonCode) else None
    if code in _REFUSED:
        hint = "; try version: 3.1.1" if code == _UNKNOWN_VERSION else ""
        return SourceFailed(f"{address} refuses the connection: {reason}{hint}")
    if code == _TAKEN_OVER:
        return SourceFailed(
            f"{address}: another client came with our client_id and took the session over: "
            "give each its own"
        )
    if code == _BROKEN:
        return SourceFailed(f"{address} broke the connection off", lost=True)
    if str(error) == "Operation timed out" or code == _SILENT:
        return SourceFailed(f"{address} does not answer", lost=True)
    message = why(error, str(address))
    return SourceFailed(message, lost="certificate" not in message)


def _secured(tls: ssl.SSLContext, host: str, plain: socket.socket) -> ssl.SSLSocket:
    """TLS on a connected socket, which the library would leave open if that fails."""
    secured = tls.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    try:
        secured.settimeout(ANSWER_SECS)
        secured.do_handshake()
    except BaseException:
        secured.close()
        raise
    return secured
