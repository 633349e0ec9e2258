"""The aiohttp application: decodes requests by the route table, answers, refuses as problems."""

import asyncio
import logging
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from reactor.errors import Denied, Overloaded, ReactorError, UsageError
from reactor.web.admin.asked import Access, Call, Endpoint, Question
from reactor.web.admin.endpoints import (
    DOCUMENT,
    PREFIX,
    QUESTIONS,
    STREAM,
)
from reactor.web.admin.live import Live
from reactor.web.admin.openapi import document
from reactor.web.admin.problems import problem, problem_of
from reactor.web.admin.wire import ProblemDetails, StreamQuery

MAX_BODY = 8 << 20
_BODY_SECS = 30.0
_PING_SECS = 15.0
_LOG = logging.getLogger("reactor.admin")
_LIVE = web.AppKey("live", Live)
Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(access: Access, *, version: str, allowed: frozenset[int]) -> web.Application:
    """The API; only processes of the `allowed` users (numeric ids) may call it."""
    app = web.Application(middlewares=[guarding(allowed)], client_max_size=MAX_BODY)
    for question in QUESTIONS:
        app.router.add_route(
            question.method, _pattern(question), partial(_answer, access, question)
        )
    app[_LIVE] = Live(access.control, access.clock)
    app.router.add_route("GET", _pattern(STREAM), _stream)
    described = msgspec.json.encode(document(version))
    app.router.add_route("GET", _pattern(DOCUMENT), partial(_fixed, described))
    # Before the server waits for open requests: a stream would never end by itself.
    app.on_shutdown.append(_close)
    return app


def guarding(allowed: frozenset[int]) -> Any:
    """The middleware around every request: who may ask, and errors as problems."""

    @web.middleware
    async def guard(request: web.Request, handler: Answering) -> web.StreamResponse:
        try:
            _admit(request, allowed)
            return await handler(request)
        except ReactorError as error:
            headers = {}
            if isinstance(error, Overloaded):
                headers["Retry-After"] = str(max(1, round(error.retry_after_secs)))
            return _refusal(problem_of(error), headers)
        except web.HTTPMethodNotAllowed as error:
            allow = ", ".join(sorted(error.allowed_methods))
            detail = f"{request.path} takes {allow}"
            refused = problem(405, "method not allowed", detail, exit_code=2)
            return _refusal(refused, {"Allow": allow})
        except web.HTTPNotFound:
            detail = f"nothing is at {request.path}: GET {PREFIX}{DOCUMENT.path} lists what is"
            return _refusal(problem(404, "not found", detail, exit_code=4))
        except TimeoutError:
            detail = f"the body did not come within {_BODY_SECS:.0f} s"
            return _refusal(problem(408, "too slow", detail, exit_code=2))
        except web.HTTPRequestEntityTooLarge:
            detail = f"the body is larger than {MAX_BODY >> 20}MiB"
            return _refusal(problem(413, "too large", detail, exit_code=2))
        except Exception:  # noqa: BLE001 (the root of a request: recorded, and the API goes on)
            _LOG.exception("request failed", extra={"path": request.path})
            detail = "an error that nobody expected: the daemon's log has it"
            return _refusal(problem(500, "failed", detail, exit_code=1))

    return guard


def _admit(request: web.Request, allowed: frozenset[int]) -> None:
    user = _caller(request)
    if user not in allowed:
        raise Denied(f"user {user} may not ask this daemon: only its own user and root may")


def _caller(request: web.Request) -> int:
    """Who asks: the number of the user at the other end of the socket."""
    connection = request.get_extra_info("socket")
    if connection is None:
        raise Denied("the connection is gone")
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    user: int = struct.unpack("3i", peer)[1]
    return user


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


async def _answer(access: Access, question: Question, request: web.Request) -> web.Response:
    call = Call(
        names=dict(request.match_info),
        query=_asked(request, question.query),
        body=await _body(request, question.body),
        caller=_name(_caller(request)),
    )
    answered = await question.answer(access, call)
    if isinstance(question.answers, str):
        return web.Response(body=answered.encode(), headers={"Content-Type": question.answers})
    return web.json_response(body=msgspec.json.encode(answered))


async def _fixed(body: bytes, _request: web.Request) -> web.Response:
    return web.json_response(body=body)


def _asked(request: web.Request, type_: Any) -> Any:
    if type_ is None:
        unknown = next(iter(request.query), None)
        if unknown is not None:
            raise UsageError(f"{request.path} takes no parameter {unknown!r}")
        return None
    if len(request.query) != len(set(request.query)):
        raise UsageError("a parameter may stand in a query once; write several values with commas")
    try:
        return msgspec.convert(dict(request.query), type_, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"query: {_plain(error)}") from None


async def _body(request: web.Request, type_: Any) -> Any:
    async with asyncio.timeout(_BODY_SECS):
        raw = await request.read()
    if type_ is None:
        return None
    try:
        return msgspec.json.decode(raw or b"{}", type=type_)
    except msgspec.ValidationError as error:
        raise UsageError(f"body: {_plain(error)}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UsageError(f"the body is no JSON: {_plain(error)}") from None


def _plain(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]


async def _stream(request: web.Request) -> web.StreamResponse:
    asked: StreamQuery = _asked(request, StreamQuery)
    response = web.StreamResponse(
        headers={"Content-Type": STREAM.answers, "Cache-Control": "no-store"}
    )
    await response.prepare(request)
    await response.write(b": reactor\n\n")
    live = request.app[_LIVE].listen(request.headers.get("Last-Event-ID"))
    async with aclosing(live):
        coming = asyncio.ensure_future(anext(live))
        try:
            while True:
                await asyncio.wait({coming}, timeout=_PING_SECS)
                if not coming.done():
                    # Writing is how a client that went away is noticed.
                    await response.write(b":\n\n")
                    continue
                id_, happening = coming.result()
                coming = asyncio.ensure_future(anext(live))
                if asked.flow in (None, happening.flow) or happening.kind == "gap":
                    data = msgspec.json.encode(happening)
                    await response.write(
                        b"id: %s\nevent: %s\ndata: %s\n\n"
                        % (id_.encode(), happening.kind.encode(), data)
                    )
        except (ConnectionError, StopAsyncIteration):
            return response
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


def _refusal(details: ProblemDetails, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=details.status,
        body=msgspec.json.encode(details),
        content_type="application/problem+json",
        headers=headers,
    )


def _pattern(endpoint: Endpoint) -> str:
    # A key of `state` may hold slashes.
    return PREFIX + endpoint.path.replace("{key}", "{key:.+}")


async def _close(app: web.Application) -> None:
    await app[_LIVE].close()
