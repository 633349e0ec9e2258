"""Which flows want an event: the index never changes the answer."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.engine.router import Router, Surroundings, judge, view_of
from reactor.loading.load import Loading, load_text
from reactor.model.event import Received
from reactor.model.flow import Flow
from reactor.plugin.catalog import Catalog

NOWHERE = Surroundings({}, {})
VALUES = st.sampled_from([None, True, False, 0, 1, 1.0, 2, "1", "a", "b", "true", [1], {"n": 1}])
LITERALS = st.sampled_from(["true", "false", "0", "1", "1.0", "2", '"1"', '"a"', '"b"', '"true"'])
PATHS = st.sampled_from(["event.data.x", "event.data.y.z", "event.type", 'event.data["x"]'])
ATOMS = st.builds("{} == {}".format, PATHS, LITERALS) | st.builds(
    "{} {} {}".format, PATHS, st.sampled_from(["!=", "<", "in"]), LITERALS
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
    max_leaves=4,
)
EVENTS = st.builds(
    lambda type_, x, y, bare: Received(
        data=bare if bare is not None else {"x": x, "y": {"z": y}}, type=type_
    ),
    st.sampled_from([None, "a", "b", "a.b", "1"]),
    VALUES,
    VALUES,
    st.sampled_from([None, None, None, "text", 5, [1]]),
)
TYPES = st.sampled_from(["a", "b", "a.*", "*", "1"])


def flows(triggers: list[tuple[str, str, str]]) -> list[Flow]:
    """A flow for each (type, condition of the trigger, condition of the flow)."""
    text = "\n---\n".join(
        f"flow: f{number}\n"
        f"when:\n  event: {{type: '{type_}'}}\n  only_if: |-\n    {one}\n"
        f"only_if: |-\n  {other}\n"
        "do: [log: hi]"
        for number, (type_, one, other) in enumerate(triggers)
    )
    loaded = load_text(text, "flows.yaml", Loading(catalog=Catalog()))
    assert not loaded.failed, loaded.problems
    return list(loaded.flows)


def told(decisions: list[Any]) -> list[tuple[str, str]]:
    """Which flows the decisions start, or could not decide on."""
    return [(one.candidate.flow.name, one.verdict) for one in decisions if one.verdict != "stopped"]


@settings(max_examples=60)
@given(st.lists(st.tuples(TYPES, CONDITIONS, CONDITIONS), min_size=1, max_size=6), EVENTS)
def test_the_index_finds_what_asking_everyone_finds(triggers, received):
    """Every flow that would start by itself does, in the order of the flows.

    A condition that cannot be decided may be passed over only where the index shows that another
    part of it does not hold.
    """
    router = Router(flows(triggers))
    view = view_of(received, source="event", event_id="evt_0", time_ms=0)

    quick = told(router.route("event", view, NOWHERE, 0))
    heard = router.instances().get("event", [])
    slow = told([one for each in heard for one in judge(each, view, NOWHERE, 0)])
    assert [one for one in quick if one[1] == "started"] == [
        one for one in slow if one[1] == "started"
    ]
    assert set(quick) <= set(slow)


def test_many_flows_with_a_constant_are_found_by_it():
    """An event reaches the flows of its value and those that ask for no constant, no others."""
    router = Router(
        flows(
            [("*", f'event.data.x == "{number}"', "true") for number in range(50)]
            + [("*", "event.data.y", "true")]
        )
    )
    view = view_of(Received(data={"x": "7"}), source="event", event_id="evt_0", time_ms=0)

    reached = router.route("event", {**view, "type": "t"}, NOWHERE, 0)

    assert [one.candidate.flow.name for one in reached] == ["f7", "f50"]


def test_a_list_in_the_place_of_a_constant_reaches_nobody():
    """What equals no constant is no error of the index."""
    router = Router(flows([("*", 'event.data.x == "a"', "true"), ("*", "event.data.y", "true")]))
    data = {"x": [1], "y": 1}
    view = view_of(Received(data=data, type="t"), source="event", event_id="evt_0", time_ms=0)

    assert told(router.route("event", view, NOWHERE, 0)) == [("f1", "started")]
