"""Requests that start flows: verified, decoded, stored, answered."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from reactor.connectors.http import answers
from reactor.connectors.http.config import Hook, HookFields, Late, Origins, Schemes, WhenDone
from reactor.connectors.http.decode import Undecodable, decode
from reactor.connectors.http.proof import Sender, Unverified, Verifier
from reactor.connectors.http.verify import anyone, verifier
from reactor.errors import SourceFailed
from reactor.ids import id_text
from reactor.model.event import Outcome, Receipt, Received
from reactor.model.http import Reply, Request, path_segments
from reactor.plugin.context import Cors, Emit, Respond, Route, SourceContext
from reactor.plugin.spec import Complaint, source

# Never stored, whatever the scheme.
_HIDDEN = frozenset({"authorization", "cookie", "proxy-authorization"})
_LONGEST_ID = 200
_LOG_EACH_SECS = 60


def _check(written: Mapping[str, Any]) -> Iterable[Complaint]:
    path = written.get("path")
    if isinstance(path, str):
        try:
            path_segments(path)
        except ValueError as error:
            yield ("path",), str(error)
        if path in {"/healthz", "/readyz"}:
            yield ("path",), f"path {path} is Reactor's own health check: choose another"
    verify = written.get("verify")
    if isinstance(verify, Mapping) and len(verify) != 1:
        yield ("verify",), "verify takes exactly one scheme, such as {github: secret}, or none"
    respond = written.get("respond")
    if isinstance(respond, Mapping) and respond.get("when") not in {None, "done"}:
        yield ("respond", "when"), "respond waits for one thing: {when: done}"


@source(
    "http",
    fields=HookFields,
    identity=("method", "path"),
    check=_check,
    guarantee="at least once; exactly once where the sender gives an id",
    examples=[
        'http: {path: /hooks/github, verify: {github: "${{ secrets.github_hook }}"}}',
        "http: {path: /orders, verify: none}",
        'http: {path: "/sum/{a}", method: GET, verify: none, respond: {when: done, timeout: 5s}}',
    ],
)
async def http(config: Hook, emit: Emit, context: SourceContext) -> None:
    """Requests to a path of the webhook listener."""
    check = _verifier(config, context)
    hook = _Endpoint(config, check, emit, context)
    route = Route(
        method=config.method,
        path=config.path,
        max_body=config.max_body,
        cors=None if config.cors is None else _cors(config.cors),
    )
    async with context.routes.add(route, hook.answer):
        context.up(f"{config.method} {config.path}")
        await asyncio.get_running_loop().create_future()


def _cors(config: Origins) -> Cors:
    return Cors(
        origins=tuple(config.origins),
        headers=tuple(config.headers),
        max_age_secs=int(config.max_age),
    )


def _verifier(config: Hook, context: SourceContext) -> Verifier:
    if isinstance(config.verify, Schemes):
        try:
            return verifier(config.verify)
        except ValueError as error:
            raise SourceFailed(f"{config.method} {config.path}: {error}", fatal=True) from error
    if not (context.listens_on_loopback or context.allow_unauthenticated):
        raise SourceFailed(
            f"{config.method} {config.path}: verify: none lets the whole network start this flow: "
            "choose a scheme such as {bearer: secret}, listen on 127.0.0.1, "
            "or set server.allow_unauthenticated: true",
            fatal=True,
        )
    return Verifier(anyone)


class _Endpoint:
    """Answers the requests of one route."""

    def __init__(self, config: Hook, check: Verifier, emit: Emit, context: SourceContext) -> None:
        self._emit = emit
        self._clock = context.clock
        self._log = context.log
        self._verify = check
        self._body = config.body
        self._hidden = _HIDDEN | check.hidden
        self._done = config.respond if isinstance(config.respond, WhenDone) else None
        self._unauthorized = answers.unauthorized(check.realm)
        self._refusals: Counter[str] = Counter()
        self._logged: dict[str, float] = {}

    def answer(self, request: Request, respond: Respond) -> None:
        """Verify, decode, store; the answer follows the commit."""
        try:
            sender = self._verify.check(request, self._clock.now_ms() // 1000)
            data = decode(self._body, request.headers, request.body)
        except Unverified as error:
            self._note(str(error))
            respond(self._unauthorized)
            return
        except Undecodable as error:
            respond(answers.refused(error.status, str(error)))
            return
        identity = self._identity(request, sender, data)
        hidden, query = self._hidden, request.query
        if self._verify.hidden_query is not None:
            query = {name: query[name] for name in query if name != self._verify.hidden_query}
        received = Received(
            data=data,
            fields={
                "headers": {
                    name: value for name, value in request.headers.items() if name not in hidden
                },
                "query": query,
                "path_params": request.path_params,
                "method": request.method,
                "address": request.address,
            },
            identity=identity,
            digest=None if identity is None else hashlib.sha256(request.body).digest(),
            wait=self._done is not None,
        )
        if self._done is None:
            self._emit.nowait(received, lambda receipt: self._accepted(receipt, respond))
        else:
            late = self._done
            self._emit.nowait(received, lambda receipt: self._await(receipt, respond, late))

    def _accepted(self, receipt: Receipt | BaseException, respond: Respond) -> None:
        if isinstance(receipt, Receipt):
            respond(answers.received(receipt))
        else:
            respond(self._failed(receipt))

    def _failed(self, error: BaseException) -> Reply:
        reply = answers.failed(error)
        if reply is None:
            self._log.error("a request could not be stored", exc_info=error)
            reply = answers.refused(500, "the request could not be handled; see the daemon's log")
        return reply

    def _await(self, receipt: Receipt | BaseException, respond: Respond, done: WhenDone) -> None:
        if not isinstance(receipt, Receipt) or receipt.outcome is None:
            if isinstance(receipt, Receipt) and receipt.duplicate and not receipt.conflict:
                respond(answers.received(receipt, status=202))  # the first one still runs
            else:
                self._accepted(receipt, respond)
            return

        def ended(outcome: asyncio.Future[Outcome]) -> None:
            timer.cancel()
            if outcome.cancelled() or outcome.exception() is not None:
                respond(_late(receipt, done.late))
            else:
                respond(self._finished(receipt, outcome.result()))

        # `respond` takes the first answer only, so the timer and the outcome may race.
        timer = asyncio.get_running_loop().call_later(
            done.timeout, lambda: respond(_late(receipt, done.late))
        )
        receipt.outcome.add_done_callback(ended)

    def _finished(self, receipt: Receipt, outcome: Outcome) -> Reply:
        try:
            return answers.finished(receipt, outcome)
        except (ValueError, TypeError, msgspec.MsgspecError) as error:
            execution = id_text("exe", outcome.execution)
            self._log.error("a reply cannot be sent: %s", error, extra={"execution": execution})
            return answers.refused(500, f"the flow's reply cannot be sent: {error}")

    def _identity(self, request: Request, sender: Sender, data: Any) -> str | None:
        ident = sender.id
        if self._verify.body_id is not None and isinstance(data, dict):
            inside = data.get(self._verify.body_id)
            ident = inside if isinstance(inside, str) and inside else ident
        if ident is None:
            headers = request.headers
            ident = (
                headers.get("idempotency-key")
                or headers.get("webhook-id")
                or headers.get("svix-id")
            )
        if not ident:
            return None
        if len(ident) > _LONGEST_ID:
            ident = hashlib.sha256(ident.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{sender.name}\t{request.path}\t{ident}"  # neither name nor path has a tab

    def _note(self, reason: str) -> None:
        # A flood of forged requests must not flood the log.
        self._refusals[reason] += 1
        now = self._clock.monotonic_secs()
        if now - self._logged.get(reason, -_LOG_EACH_SECS) >= _LOG_EACH_SECS:
            self._logged[reason] = now
            self._log.warning(
                "a webhook was refused", extra={"reason": reason, "count": self._refusals[reason]}
            )


def _late(receipt: Receipt, late: Late) -> Reply:
    if late.json is None:
        return answers.received(receipt, status=late.status)
    headers = () if receipt.event is None else (("Reactor-Event", id_text("evt", receipt.event)),)
    return Reply(late.status, msgspec.json.encode(late.json), headers=headers)
