"""Plugins of a drop-in folder in a running daemon."""

from typing import Any

GOOD = '''
"""Words for tests."""

import asyncio
from typing import Annotated

from reactor.plugin.context import ActionContext, Emit, SourceContext
from reactor.plugin.spec import Config, action, doc, source
from reactor.model.event import Received


class Shout(Config):
    """A text to shout."""

    text: Annotated[str, doc("What to shout.", ["hi"])]


@action("shout", examples=["shout: {text: hi}"])
async def shout(config: Shout, context: ActionContext) -> str:
    """Say it loudly."""
    return config.text.upper()


class Count(Config):
    """How far to count."""

    to: Annotated[int, doc("The last number.", [3])]


@source("counting", examples=["counting: {to: 3}"])
async def counting(config: Count, emit: Emit, context: SourceContext) -> None:
    """Numbers from one on."""
    for number in range(1, config.to + 1):
        await emit(Received(data={"number": number}, identity=str(number)))
    context.up("counted")
    await asyncio.get_running_loop().create_future()
'''
FLOW = """
flow: loud
when: {counting: {to: 3}}
do:
  - id: shout
    shout: {text: "number ${{ event.data.number }}"}
"""


def test_words_of_a_plugin_work_in_flows(daemon: Any) -> None:
    """A plugin's source starts flows, its action runs; a restart starts nothing twice."""
    plugins = daemon.folder / "plugins"
    plugins.mkdir()
    (plugins / "words.py").write_text(GOOD)
    daemon.flow("loud", FLOW)
    daemon.start()
    daemon.until("loud", "on")
    daemon.at_rest()
    daemon.kill()

    daemon.start()
    daemon.at_rest()

    shown = [daemon.api.get("executions", run["execution"]) for run in daemon.executions()]
    outputs = sorted(run["steps"][0]["output"] for run in shown)
    assert outputs == ["NUMBER 1", "NUMBER 2", "NUMBER 3"]


def test_a_broken_plugin_is_said_and_left_out(daemon: Any) -> None:
    """Its words are unknown, its neighbours work, the daemon serves."""
    plugins = daemon.folder / "plugins"
    plugins.mkdir()
    (plugins / "bad.py").write_text("import nothing_of_this_name\n")
    (plugins / "words.py").write_text(GOOD)
    daemon.flow("loud", FLOW)
    daemon.flow("lost", "flow: lost\nwhen: {call: {}}\ndo: [{whisper: {text: hi}}]\n")

    daemon.start()

    assert daemon.flow_states() == {"loud": "on", "lost.yaml": "broken"}
    assert daemon.said("a plugin does not load")
    (said,) = daemon.lines("a plugin does not load; its words are unknown")
    assert "nothing_of_this_name" in said["error"]
