"""The reference of the webhook: a bare aiohttp handler that decodes the body and stores nothing."""

import asyncio

import uvloop
from aiohttp import web


async def accept(request: web.Request) -> web.Response:
    """Answer as the daemon does."""
    order = await request.json()
    return web.json_response({"execution": "exe_0", "event": f"evt_{order['id']}"}, status=202)


async def serve() -> None:
    """Listen on a free port and print it."""
    application = web.Application()
    application.router.add_post("/orders", accept)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve())
