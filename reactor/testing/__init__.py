"""A whole reactor in memory, and what is done in it: users' tests, tries, dry replays."""

from reactor.testing.world import BEGIN_MS, HandClock, World, outcomes

__all__ = ["BEGIN_MS", "HandClock", "World", "outcomes"]
