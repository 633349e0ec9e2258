"""What flows of several files have to say about each other."""

import pytest

from reactor.loading.lint import conflicts
from reactor.loading.load import Loading, load_text
from tests.loading.small_words import SmallCatalog

HOOK = "when:\n  http: {path: /a, verify: none}\ndo: [{log: hi}]\n"


@pytest.fixture
def told():
    """The problems between files, as text."""
    loading = Loading(catalog=SmallCatalog(), allow_later=True)

    def tell(**files):
        loaded = [load_text(text, f"{name}.yaml", loading) for name, text in files.items()]
        assert [str(p) for each in loaded for p in each.problems if p.severity == "error"] == []
        return [f"{problem.severity} {problem}" for problem in conflicts(loaded)]

    return tell


def test_flows_that_differ_are_fine(told):
    """Two flows on one route that agree are no conflict."""
    assert told(a=f"flow: a\n{HOOK}", b=f"flow: b\n{HOOK}") == []


def test_two_files_may_not_name_one_flow(told):
    """The second one is told where the first is."""
    assert told(a=f"flow: a\n{HOOK}", b=f"flow: a\n{HOOK}") == [
        "error b.yaml:1:1: two flows are called 'a', the first in a.yaml:1: rename one"
    ]


def test_flows_on_one_route_agree(told):
    """Who shares a route shares its settings."""
    other = HOOK.replace("verify: none", "verify: {github: x}, max_body: 1KiB")

    assert told(a=f"flow: a\n{HOOK}", b=f"flow: b\n{other}") == [
        "error b.yaml:3:3: flows 'a' (a.yaml:1) and 'b' share POST /a and must agree on verify",
        "error b.yaml:3:3: flows 'a' (a.yaml:1) and 'b' share POST /a and must agree on max_body",
    ]


def test_a_synchronous_route_has_one_flow(told):
    """Only one flow can answer a request."""
    done = HOOK.replace("verify: none", "verify: none, respond: {when: done}")

    assert told(a=f"flow: a\n{done}", b=f"flow: b\n{HOOK}") == [
        (
            "error b.yaml:3:3: flows 'a' (a.yaml:1) and 'b' share POST /a: "
            "a route with respond: {when: done} has one flow"
        )
    ]


def test_another_method_is_another_route(told):
    """Path and method together are the route."""
    get = HOOK.replace("verify: none", "verify: {github: x}, method: GET")

    assert told(a=f"flow: a\n{HOOK}", b=f"flow: b\n{get}") == []


CALLED = "flow: notify\nwhen: {call: {inputs: {text: {type: string}}}}\ndo: [{log: hi}]\n"
CALLER = "flow: a\nwhen: {call: {}}\ndo: [{call: notify, with: {text: hi}}]\n"


def test_a_call_with_its_inputs_is_fine(told):
    """Known flow, known inputs."""
    assert told(a=CALLER, notify=CALLED) == []


def test_a_call_names_a_flow(told):
    """An unknown flow is told with the one that was meant."""
    assert told(a=CALLER.replace("notify", "notfy"), notify=CALLED) == [
        "error a.yaml:3:7: no flow is called 'notfy'; did you mean notify"
    ]


def test_a_call_names_inputs(told):
    """An unknown input is told with the place of the called flow."""
    assert told(a=CALLER.replace("text:", "txt:"), notify=CALLED) == [
        "error a.yaml:3:7: flow 'notify' (notify.yaml:1) has no input 'txt'; did you mean text",
        (
            "error a.yaml:3:7: flow 'notify' (notify.yaml:1) needs the input 'text': "
            "give it under with:"
        ),
    ]


def test_only_callable_flows_are_called(told):
    """A flow without a call trigger cannot be called."""
    assert told(a=CALLER, notify=f"flow: notify\n{HOOK}") == [
        (
            "error a.yaml:3:7: flow 'notify' (notify.yaml:1) is not started by calls: "
            "add when: {call: {}} to it"
        )
    ]


def test_shared_state_is_noted(told):
    """State is one room for all flows, so two writers are worth a note."""
    text = "when: {call: {}}\ndo: [{set: {seen: 1}}]\n"

    assert told(a=f"flow: a\n{text}", b=f"flow: b\n{text}") == [
        "note b.yaml:3:7: state.seen is also set by flow a (a.yaml:1)"
    ]


def test_cycles_are_told(told):
    """Flows that start each other by events or calls are told once."""
    first = "flow: a\nwhen: {event: x.*}\ndo: [{emit: {type: y, data: '${{ event.data }}'}}]\n"
    second = "flow: b\nwhen: {event: y}\ndo: [{emit: x.z}]\n"

    assert told(a=first, b=second) == [
        (
            "warning a.yaml:1:1: these flows start each other: a → b → a; a condition must end it "
            "(a chain of over 32 is a dead letter)"
        )
    ]
