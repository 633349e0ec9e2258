"""Every error that Reactor raises on purpose."""

from typing import Any


class ReactorError(Exception):
    """The root of all errors raised on purpose; `exit_code` is what the command line ends with."""

    exit_code = 1


class UsageError(ReactorError):
    """The command line or an API call asks for something that makes no sense."""

    exit_code = 2


class InvalidFlow(ReactorError):
    """A flow or a configuration does not load."""

    exit_code = 3


class NotFound(ReactorError):
    """The named flow, execution, event, source or page does not exist."""

    exit_code = 4


class Denied(ReactorError):
    """The caller may not do this."""

    exit_code = 5


class Unreachable(ReactorError):
    """The daemon does not answer on its local API."""

    exit_code = 6


class StorageFailed(ReactorError):
    """A commit failed: whether it is on disk is unknown, so the daemon must stop (exit 74)."""

    exit_code = 74


class BadConfig(ReactorError):
    """The daemon cannot start with these settings; `problems` are all that is wrong."""

    exit_code = 78

    def __init__(self, message: str, *, problems: tuple[Any, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class Overloaded(ReactorError):
    """Nothing was stored because the daemon is full, draining or out of disk; try again later."""

    def __init__(self, message: str, *, retry_after_secs: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_secs = retry_after_secs


class EvaluationError(ReactorError):
    """An expression met a value that its operators or functions do not take, or a bound."""


class ActionFailed(ReactorError):
    """One attempt of a step failed.

    `kind` is a short word for conditions (`http`, `timeout`, `type`, `exit`, …); `transient` says
    whether trying again may help; `after_secs` is how long the other side asked us to wait;
    `output` is what the action can still show (`{status, headers, body}`,
    `{exit, stdout, stderr}`).
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str = "failed",
        status: int | None = None,
        transient: bool = False,
        after_secs: float | None = None,
        output: Any = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.transient = transient
        self.after_secs = after_secs
        self.output = output


class SourceFailed(ReactorError):
    """A source lost its peer or cannot start; the supervisor restarts it with backoff.

    `fatal` means that only a person can mend it: the source stops and says so. `lost` means that
    the peer is away and may be back any moment: it is asked again every few seconds.
    """

    def __init__(self, message: str, *, fatal: bool = False, lost: bool = False) -> None:
        super().__init__(message)
        self.fatal = fatal
        self.lost = lost
