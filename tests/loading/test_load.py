"""Good flows: what the loader makes of them."""

from pathlib import Path

import pytest

from reactor.errors import InvalidFlow
from reactor.loading.load import (
    Loading,
    flow_files,
    load_bytes,
    load_document,
    load_folder,
    load_text,
)
from reactor.model.flow import (
    CallStep,
    ChooseStep,
    Defaults,
    GroupStep,
    ParallelStep,
    RepeatStep,
    WaitStep,
)
from reactor.model.retry import Retry
from reactor.plugin.catalog import Catalog
from tests.loading.small_words import SmallCatalog

SLACK = """\
flow: push-to-slack
about: Tell the team about pushes to main.
enabled: true
when:                          # one trigger or a list
  id: push
  http: {path: /hooks/github, verify: {github: "${{ secrets.github_hook }}"}}
only_if: event.headers["x-github-event"] == "push" and event.body.ref == "refs/heads/main"
unless:
  - event.body.deleted
  - contains(event.body.head_commit.message, "[skip notify]")
vars:
  who: ${{ event.body.pusher.name }}
run: {mode: parallel, max: 16, timeout: 1m}
do:
  - id: notify
    http:
      post: ${{ secrets.slack_url }}
      json: {text: "${{ vars.who }} pushed ${{ event.body.commits | len }} commits"}
    retry: {max: 8, within: 6h}
on_error:
  - log: "notify failed: ${{ error.message }}"
finally: []
"""
ROOT = Path(__file__).parent.parent.parent
CALLED = "flow: f\nwhen: {call: {}}\n"


@pytest.fixture
def loading():
    """The small words, and all control steps."""
    return Loading(catalog=SmallCatalog(), allow_later=True)


def flow_of(text, loading):
    """The one flow of a text that has no error."""
    loaded = load_text(text, "flow.yaml", loading)
    assert [str(problem) for problem in loaded.problems if problem.severity == "error"] == []
    return loaded.flows[0]


def test_the_flow_of_the_book_loads(loading):
    """Trigger, conditions, vars, run and steps arrive in the model."""
    flow = flow_of(SLACK, loading)

    assert (flow.name, flow.triggers[0].id, flow.triggers[0].source) == (
        "push-to-slack",
        "push",
        "http",
    )
    assert (len(flow.only_if), len(flow.unless), flow.run.timeout_secs) == (1, 2, 60.0)
    assert flow.tainted_vars == {"who"}


def test_a_step_has_its_settings(loading):
    """Retry, timeout and the marks of its fields are resolved on the step."""
    step = flow_of(SLACK, loading).do[0]

    assert (step.id, step.path, step.action, step.timeout_secs) == ("notify", "do.0", "http", 30)
    assert (step.retry.max, step.retry.within_secs) == (8, 21600.0)
    assert step.strict == step.authored == {"post"}


def test_a_template_renders(loading):
    """What stands under the action's key renders with the names of the execution."""
    step = flow_of(SLACK, loading).do[0]

    rendered = step.config.render(
        {"secrets": {"slack_url": "u"}, "vars": {"who": "ann"}, "event": {"body": {"commits": [1]}}}
    )

    assert rendered == {"post": "u", "json": {"text": "ann pushed 1 commits"}}


def test_a_stored_document_is_the_same_flow(loading):
    """The document of a flow loads again and has the same version."""
    flow = flow_of(SLACK, loading)

    again = load_document(flow.document, loading)

    assert (again.name, again.version, again.do[0].retry) == (
        flow.name,
        flow.version,
        flow.do[0].retry,
    )


def test_a_stored_document_keeps_its_defaults(loading):
    """A version that used a default is read with the default of its time."""
    defaults = Loading(catalog=SmallCatalog(), defaults=Defaults(retry={"max": 3}))
    flow = flow_of(CALLED + "do: [{shell: {args: [a]}}]\n", defaults)

    again = load_document(flow.document, loading)

    assert again.version == flow.version
    assert again.do[0].retry == Retry(max=3)


def test_a_document_of_other_words_is_refused(loading):
    """A stored version whose words are gone raises with the reason."""
    with pytest.raises(InvalidFlow, match="no action 'gone'"):
        load_document({"flow": "f", "when": {"call": {}}, "do": [{"gone": 1}]}, loading)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("about: Tell the team about pushes to main.", "about: x"), True),
        (("enabled: true", "enabled: false"), True),
        (("finally: []", "finally: []\nkeep: {ok: 1d}\nlabels: {a: b}"), True),
        (("max: 8", "max: 9"), False),
        (("# one trigger or a list", ""), True),
        (("refs/heads/main", "refs/heads/dev"), False),
    ],
)
def test_the_version_is_what_a_flow_does(loading, change, same):
    """Names, labels, tests and retention do not change the version; everything else does."""
    flow, changed = flow_of(SLACK, loading), flow_of(SLACK.replace(*change), loading)

    assert (flow.version == changed.version) is same


def test_the_version_has_the_defaults_that_are_used():
    """A default counts where the flow says nothing, and only there."""
    text = CALLED + "do: [{log: hi}]\n"
    plain, with_retry = (
        Loading(catalog=SmallCatalog(), defaults=Defaults(retry=retry)) for retry in (None, 5)
    )

    assert flow_of(text, plain).version != flow_of(text, with_retry).version
    own = text + "retry: 1\n"
    assert flow_of(own, plain).version == flow_of(own, with_retry).version


def test_ids_come_from_words(loading):
    """A step without id is called by its word and a number; a written id stays."""
    text = CALLED + "do:\n  - log: a\n  - log: b\n  - id: log_2\n    log: c\non_error: [{log: d}]\n"

    flow = flow_of(text, loading)

    assert [step.id for step in (*flow.do, *flow.on_error)] == ["log", "log_3", "log_2", "log_4"]


def test_the_step_beats_the_flow_beats_the_defaults():
    """Retry and timeout are taken whole from the nearest place, never mixed."""
    defaults = Defaults(retry={"max": 1, "delay": "9s"}, timeout_secs=7.0)
    text = "do:\n  - shell: {args: [a]}\n  - shell: {args: [b]}\n    retry: 0\n    timeout: 2s\n"
    by_flow = "retry: {max: 4}\n"
    loading = Loading(catalog=SmallCatalog(), defaults=defaults)

    first, off = flow_of(CALLED + text, loading).do
    flows = flow_of(CALLED + by_flow + text, loading).do[0]

    assert (first.retry.max, first.retry.delay_secs, first.timeout_secs) == (1, 9.0, 7.0)
    assert (off.retry, off.timeout_secs) == (None, 2.0)
    assert (flows.retry.max, flows.retry.delay_secs) == (4, 1.0)


def test_once_takes_no_retry_from_the_flow(loading):
    """At most once stays at most once."""
    flow = flow_of(CALLED + "retry: 3\ndo: [{shell: {args: [a]}, once: true}]\n", loading)

    assert (flow.do[0].once, flow.do[0].retry) == (True, None)


def test_several_triggers_share_their_fields(loading):
    """A field that any trigger has may be named in the flow; equal sources are one instance."""
    hook = "http: {path: /a, verify: none}"
    text = f"flow: f\nwhen:\n  - {hook}\n  - {hook}\n  - event: order.*\n"

    flow = flow_of(text + "only_if: event.body.x\ndo: [{log: hi}]\n", loading)

    assert [trigger.id for trigger in flow.triggers] == ["http", "http_2", "event"]
    assert flow.triggers[0].instance == flow.triggers[1].instance != flow.triggers[2].instance
    assert flow.triggers[2].match == (("type", "order.*"),)


def test_constant_vars_serve_triggers(loading):
    """A var without a template may be used in a trigger's condition."""
    text = "flow: f\nvars: {limit: 5}\nwhen: {event: a, only_if: event.data.n > vars.limit}\n"

    flow = flow_of(text + "do: [{log: hi}]\n", loading)

    assert flow.triggers[0].only_if[0].paths == {("event", "data", "n"), ("vars", "limit")}


def test_vars_of_steps_are_known_after_them(loading):
    """A vars step adds names; data taints them, and what reads a secret is one."""
    text = (
        CALLED
        + "do:\n  - vars: {a: 1, b: '${{ event.data }}'}\n  - vars: {k: '${{ secrets.k }}'}\n"
        + "  - log: ${{ vars.a }} ${{ vars.b }}\n"
    )

    flow = flow_of(text, loading)

    assert flow.tainted_vars == {"a", "b"}
    assert flow.secret_vars == {"k"}


def test_set_entries_stay_unevaluated(loading):
    """The config of set holds templates and expressions for the commit to evaluate."""
    text = (
        CALLED
        + "do:\n  - set:\n      seen: ${{ now }}\n"
        + "      count: {key: event.data.id, value: (state.count | default(0)), ttl: 1d}\n"
    )

    tree = flow_of(text, loading).do[0].config.render({})

    assert (tree["seen"]["key"], tree["seen"]["ttl"]) == (None, None)
    assert tree["seen"]["value"].render({"now": 5}) == 5
    assert tree["count"]["key"].text == "event.data.id"
    assert tree["count"]["ttl"] == 86400.0


def test_a_list_under_key_is_one_value(loading):
    """A composed key is one expression that gives a list."""
    flow = flow_of(
        "flow: f\nwhen:\n  event: a\n  key: [event.data.a, event.data.b]\ndo: [{log: x}]\n", loading
    )

    assert flow.triggers[0].key.evaluate({"event": {"data": {"a": 1, "b": 2}}}) == [1, 2]


def test_a_number_under_a_text_stays_as_written(loading):
    """A text field takes what was written: 1.10 is not 1.1."""
    flow = flow_of(CALLED + "do: [{log: 1.10}]\n", loading)

    assert flow.do[0].config.render({}) == {"message": "1.10"}


CONTROL = """\
flow: all-of-it
when: {call: {}}
do:
  - id: rows
    emit: a
  - each: {row: steps.rows.output}
    at_once: 4
    do:
      - log: ${{ row.name }} ${{ index }}
  - parallel:
      pay: [{id: paid, emit: b}]
      ship: [{log: x}]
    join: any
  - choose:
      - only_if: event.data.total > 1000
        do: [{log: big}]
      - do: [{log: small}]
  - repeat: {until: steps.poll.output, every: 10s, max: 60, collect: steps.poll.output, do: [{id: poll, emit: c}]}
  - wait: 24h
  - wait: {until: "08:00", days: [mon, fri]}
  - id: paid_event
    wait:
      when: {event: {type: order.paid}, only_if: incoming.data.order == event.data.id}
      timeout: 7d
  - wait: {approval: Deploy?, notify: [{log: asked}], timeout: 2d}
  - call: other
    with: {text: "${{ steps.paid.output }}"}
  - call: archive
    detach: true
  - emit: d
    undo: [{log: "undone ${{ error.message }}"}]
    on_error: [{log: "${{ error.kind }}"}]
"""  # noqa: E501


def test_control_steps_are_in_the_model(loading):
    """Every control step is read with its parts and paths."""
    flow = flow_of(CONTROL, loading)

    _, group, parallel, choose, repeat, day, until, event, approval, call, detached, last = flow.do
    assert isinstance(group, GroupStep)
    assert (group.item_name, group.at_once, group.do[0].path) == ("row", 4, "do.1.do.0")
    assert isinstance(parallel, ParallelStep)
    assert (parallel.join, parallel.branches[0][1][0].path) == ("any", "do.2.pay.0")
    assert isinstance(choose, ChooseStep)
    assert [choice.do[0].path for choice in choose.choices] == ["do.3.0.0", "do.3.1.0"]
    assert isinstance(repeat, RepeatStep)
    assert (repeat.every_secs, repeat.max, repeat.do[0].path) == (10.0, 60, "do.4.do.0")
    assert isinstance(event, WaitStep)
    assert isinstance(call, CallStep)
    assert [day.form, until.form, event.form, approval.form] == [
        "duration",
        "until",
        "when",
        "approval",
    ]
    assert event.when is not None
    assert (event.timeout_secs, event.when.source) == (604800.0, "event")
    assert approval.notify[0].path == "do.8.notify.0"
    assert (call.flow, call.inputs.render({"steps": {"paid": {"output": 1}}})) == (
        "other",
        {"text": 1},
    )
    assert detached.detach
    assert (last.undo[0].path, last.on_error[0].path) == ("do.11.undo.0", "do.11.on_error.0")


def test_two_documents_are_two_flows(loading):
    """A file may hold several flows."""
    text = CALLED + "do: [{log: a}]\n---\n" + CALLED.replace("f\n", "g\n", 1) + "do: [{log: b}]\n"

    loaded = load_text(text, "two.yaml", loading)

    assert [flow.name for flow in loaded.flows] == ["f", "g"]


def test_an_alias_is_its_value(loading):
    """Anchors and aliases share values; each use is a step of its own."""
    text = CALLED + "do:\n  - &hello\n    log: hi\n  - *hello\n"

    flow = flow_of(text, loading)

    assert [(step.id, step.path) for step in flow.do] == [("log", "do.0"), ("log_2", "do.1")]


def test_environment_names_need_the_allow_list():
    """A listed variable may be read."""
    loading = Loading(catalog=SmallCatalog(), env=frozenset({"HOME"}))

    flow = flow_of(CALLED + "do: [{log: '${{ env.HOME }}'}]\n", loading)

    assert flow.do[0].config.render({"env": {"HOME": "/root"}}) == {"message": "/root"}


def test_a_folder_is_read_with_its_subfolders(tmp_path, loading):
    """Flow files are found recursively; tests, hidden files and others are none."""
    text = CALLED + "do: [{log: hi}]\n"
    for name in ("a.yaml", "b/c.yml", "b/c.test.yaml", ".git/x.yaml", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    assert list(load_folder(tmp_path, loading)) == ["a.yaml", "b/c.yml"]


def test_a_byte_order_mark_is_no_mistake(loading):
    """Editors that write one do no harm."""
    content = "\N{BYTE ORDER MARK}".encode() + (CALLED + "do: [{log: hi}]\n").encode()

    assert load_bytes(content, "f.yaml", loading).problems == ()


@pytest.mark.parametrize("path", flow_files(ROOT / "flows"), ids=lambda path: path.name)
def test_our_own_flows_load(path):
    """The flows that come with Reactor have no problem of any kind."""
    loaded = load_bytes(path.read_bytes(), path.name, Loading(catalog=Catalog()))

    assert loaded.problems == ()
    assert loaded.flows != ()


def test_the_readme_flow_loads():
    """What a newcomer copies works."""
    text = (ROOT / "README.md").read_text().split("```yaml\n")[1].split("```")[0]

    assert load_text(text, "README.md", Loading(catalog=Catalog())).problems == ()
