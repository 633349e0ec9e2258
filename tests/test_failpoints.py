"""Places at which a test lets the daemon die."""

import subprocess
import sys

import pytest

from reactor.errors import BadConfig
from reactor.failpoints import PLACES, arm, reach

DIE = """
from reactor.failpoints import arm, reach
arm("after an answer, before the commit:3")
for number in range(9):
    print(number, flush=True)
    reach("before the commit")
"""


def test_a_process_dies_at_the_given_place_and_time():
    """The third time that a place is reached is the last thing that happens."""
    done = subprocess.run([sys.executable, "-c", DIE], capture_output=True, check=False, text=True)

    assert done.returncode == -9
    assert done.stdout.split() == ["0", "1", "2"]


@pytest.mark.parametrize("text", ["no such place", "after an answer:0", "after an answer:x"])
def test_a_place_must_be_one_of_the_list(text):
    """A typing mistake would make a test that tests nothing."""
    with pytest.raises(BadConfig, match="doctor --failpoints"):
        arm(text)


def test_nothing_happens_at_a_place_that_is_off():
    """All of them are off unless the daemon's environment says otherwise."""
    for place in PLACES:
        reach(place)
