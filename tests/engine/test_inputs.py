"""Inputs of flows that are called."""

import pytest

from reactor.engine import again
from reactor.errors import UsageError
from reactor.testing import World

FLOW = """
flow: greet
when:
  call:
    inputs:
      name: {type: string}
      times: {type: integer, default: 2}
      tags: {type: list, default: []}
do:
  - log: ${{ event.data.name }} ${{ event.data.times }} ${{ event.data.tags }}
"""


async def called(**inputs):
    """What the flow logs when it is started with these inputs."""
    async with World(FLOW) as world:
        receipt = await again.start(world.engine, "greet", trigger=None, data=None, inputs=inputs)
        await world.settle()
        opened = (await world.store.load([receipt.executions[0].execution]))[0]
        return opened.journal[0].value["output"]


async def test_defaults_are_filled_in():
    """An input that is not given has its default."""
    assert await called(name="ann") == "ann 2 []"


async def test_a_text_is_read_as_the_type_it_should_have():
    """A command line has only texts."""
    assert await called(name="5", times="3", tags='["a"]') == '5 3 ["a"]'


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({}, "needs the input 'name'"),
        ({"name": "a", "tims": 1}, "no input 'tims'; did you mean times"),
        ({"name": 5}, "input 'name' takes a string, not a number"),
        ({"name": "a", "times": True}, "input 'times' takes a integer, not a boolean"),
        ({"name": "a", "times": "many"}, "input 'times' takes a integer, not a text"),
    ],
)
async def test_wrong_inputs_are_refused(inputs, says):
    """The error names the flow, the input and the remedy."""
    with pytest.raises(UsageError, match=says):
        await called(**inputs)
