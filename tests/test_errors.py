"""What errors carry."""

import inspect

from reactor import errors
from reactor.errors import ActionFailed, Overloaded, ReactorError, SourceFailed

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value)]
OURS = [cls for cls in CLASSES if issubclass(cls, ReactorError)]


def test_every_error_is_ours():
    """One root catches all that is raised on purpose."""
    raised = [cls for cls in CLASSES if issubclass(cls, BaseException)]

    assert raised == OURS


def test_exit_codes_are_those_of_the_manual():
    """Each way to end has its own number, all others end with 1."""
    codes = {cls.__name__: cls.exit_code for cls in OURS if cls.exit_code != 1}

    assert codes == {
        "UsageError": 2,
        "InvalidFlow": 3,
        "NotFound": 4,
        "Denied": 5,
        "Unreachable": 6,
        "StorageFailed": 74,
        "BadConfig": 78,
    }


def test_a_failed_action_is_final_unless_it_says_otherwise():
    """An action must claim that trying again helps."""
    failed = ActionFailed("exit 1")

    assert (failed.kind, failed.transient, failed.after_secs) == ("failed", False, None)


def test_a_failed_source_is_restarted_unless_it_says_otherwise():
    """A source must claim that only a person can mend it."""
    assert not SourceFailed("connection refused").fatal


def test_an_overloaded_daemon_says_when_to_come_back():
    """The HTTP answer takes its Retry-After from here."""
    assert Overloaded("draining", retry_after_secs=5).retry_after_secs == 5
