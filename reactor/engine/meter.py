"""What the engine counts."""


class Meter:
    """Plain numbers."""

    def __init__(self) -> None:
        self.accepted = 0
        self.duplicates = 0
        self.unwanted = 0
        self.refused = 0
        self.dead = 0
        self.decision_errors = 0
        self.steps = 0
        self.step_failures = 0
        self.parked = 0
        self.repaired = 0
        self.ended: dict[tuple[str, str], int] = {}

    def finished(self, flow: str, state: str) -> None:
        """An execution ended."""
        self.ended[flow, state] = self.ended.get((flow, state), 0) + 1
