"""Stories that hypothesis makes up (`make proof` tries 2,000 of 50 steps)."""

from tests.proof.machine import stories


def test_whatever_happens_in_whatever_order() -> None:
    """Offered, repeated, cancelled, retried, reloaded, crashed: one execution for each event."""
    stories(examples=8, steps=20)
