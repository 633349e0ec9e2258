"""What flows may call with the action `python`: plain functions."""


def rank(names: list[str], points: dict[str, int]) -> list[str]:
    """The names, the best first."""
    return sorted(names, key=lambda name: -points.get(name, 0))
