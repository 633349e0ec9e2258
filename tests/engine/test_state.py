"""What executions share: as decided, as stored, and as it is found after a crash."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reactor.engine.state import SharedState, detached
from reactor.store import StateValue

CHANGES = st.lists(
    st.builds(
        StateValue,
        st.sampled_from(["a", "b"]),
        st.sampled_from(["", "", "x", "y"]),
        st.sampled_from([None, 1, 2, {"x": 1}]),
        st.sampled_from([None, None, 5, 10]),
    ),
    max_size=12,
)


def stored(rows: list[StateValue], now_ms: int) -> list[StateValue]:
    """What a store holds after these rows, as it gives them back."""
    table: dict[tuple[str, str], StateValue] = {}
    for row in rows:
        if row.value is None:
            table.pop((row.name, row.key), None)
        else:
            table[row.name, row.key] = row
    return [
        row for _, row in sorted(table.items()) if row.until_ms is None or row.until_ms > now_ms
    ]


@given(CHANGES, st.integers(0, 12))
def test_a_reload_finds_what_was_committed(changes, now_ms):
    """The views of a life after the last commit are those of the next life."""
    state, rows = SharedState(), []
    for change in changes:
        decided = state.decide(change)
        state.commit(decided)
        rows += decided
    state.expire(now_ms)

    again = SharedState()
    again.load(stored(rows, now_ms))

    assert again.committed == state.committed == state.latest == again.latest


@given(CHANGES)
def test_what_is_decided_is_committed_later(changes):
    """`latest` runs ahead; after the commits both say the same."""
    state = SharedState()
    decided = [state.decide(change) for change in changes]

    assert state.committed == {}
    for rows in decided:
        state.commit(rows)

    assert state.committed == state.latest


def test_an_expiry_spares_a_newer_value_that_is_not_stored_yet():
    """The time of the old value is over; the next `set` builds on the new one."""
    state = SharedState()
    state.commit(state.decide(StateValue("n", "", 1, 5)))
    newer = state.decide(StateValue("n", "", 2))

    state.expire(5)

    assert state.latest == {"n": 2}
    state.commit(newer)
    assert state.committed == {"n": 2}


def test_a_value_that_runs_out_before_its_commit_goes_after_it():
    """Nothing stays for ever because its commit took long."""
    state = SharedState()
    rows = state.decide(StateValue("n", "", 1, 5))
    state.expire(5)

    state.commit(rows)
    state.expire(6)

    assert (state.committed, state.latest) == ({}, {})


def test_detached_values_are_equal_and_apart():
    """A copy does not follow what it was made of."""
    value: dict[str, Any] = {"a": [1, {"b": 2}]}

    copy = detached(value)
    value["a"][1]["b"] = 3

    assert copy == {"a": [1, {"b": 2}]}
