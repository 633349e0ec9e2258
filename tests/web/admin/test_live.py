"""Live happenings: ids to go on from, gaps that are told, no work when nobody listens."""

import asyncio
from contextlib import aclosing

import pytest

from reactor.clock import instant
from reactor.web.admin.live import Live
from reactor.web.admin.wire import Happening
from tests.web.admin.daemon import NOON, Noon, PretendDaemon


def happening(flow="hello", **more):
    """One happening of a flow."""
    return Happening(time=instant(NOON), kind="execution", flow=flow, **more)


@pytest.fixture
def control():
    return PretendDaemon()


@pytest.fixture
async def live(control):
    live = Live(control, Noon())
    yield live
    await live.close()


async def heard(live, count, after=None):
    """The next few happenings with their ids."""
    found = []
    async with aclosing(live.listen(after)) as stream:
        async for one in stream:
            found.append(one)
            if len(found) == count:
                break
    return found


async def test_nobody_listens_nothing_is_subscribed(control, live):
    """A daemon that nobody watches does no work for it."""
    assert control.subscriptions == 0


async def test_many_listeners_share_one_subscription(control, live):
    """Two streams hear the same with the same ids."""
    both = asyncio.gather(heard(live, 1), heard(live, 1))
    control.news.put_nowait(happening())

    first, second = await both

    assert first == second
    assert control.subscriptions == 1


async def test_a_listener_goes_on_where_it_broke_off(control, live):
    """What happened in between is told first, nothing twice."""
    control.news.put_nowait(happening(state="running"))
    ((last, _),) = await heard(live, 1)
    control.news.put_nowait(happening(state="ok"))
    control.news.put_nowait(happening(state="failed"))

    again = await heard(live, 2, after=last)

    assert [one.state for _, one in again] == ["ok", "failed"]


async def test_an_id_of_an_earlier_daemon_is_a_gap(control, live):
    """After a restart it is said that something may be missing."""
    ((_, first),) = await heard(live, 1, after="abc-12")

    assert first.kind == "gap"


async def test_what_is_forgotten_is_a_gap(control, live):
    """A listener that comes back too late hears a gap, then what is remembered."""
    control.news.put_nowait(happening(state="running"))
    ((last, _),) = await heard(live, 1)
    for number in range(1100):
        control.news.put_nowait(happening(detail=str(number)))
    await heard(live, 2)

    gap, oldest = await heard(live, 2, after=last)

    assert gap[1].kind == "gap"
    assert oldest[1].detail == str(1100 - 1024)


async def test_closing_ends_every_stream(control, live):
    """The daemon's stop does not wait for those who watch."""
    stream = live.listen(None)
    listening = asyncio.ensure_future(anext(stream, None))
    control.news.put_nowait(happening())
    await listening
    waiting = asyncio.ensure_future(anext(stream, None))

    await live.close()

    assert await asyncio.wait_for(waiting, 5) is None
