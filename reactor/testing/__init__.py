"""A whole reactor in memory, and what is done in it: users' tests, tries, dry replays."""

from reactor.testing.handclock import BEGIN_MS, HandClock
from reactor.testing.world import World, outcomes

__all__ = ["BEGIN_MS", "HandClock", "World", "outcomes"]
