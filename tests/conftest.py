"""What all tests share."""

from hypothesis import settings

# No deadline: a busy machine is not a bug. Derandomized: a red run is red again for everyone.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")
