"""Errors as answers of the API: problem details (RFC 9457) with the exit code beside them."""

from reactor.errors import (
    Denied,
    EvaluationError,
    InvalidFlow,
    NotFound,
    Overloaded,
    ReactorError,
    StorageFailed,
    UsageError,
)
from reactor.web.admin.wire import ProblemDetails

# The first class that fits gives the status and the title.
_KINDS: tuple[tuple[type[ReactorError], int, str], ...] = (
    (UsageError, 400, "makes no sense"),
    (NotFound, 404, "not found"),
    (Denied, 403, "denied"),
    (InvalidFlow, 422, "does not load"),
    (EvaluationError, 422, "has no value"),
    (Overloaded, 503, "try again later"),
    (StorageFailed, 503, "storage failed"),
    (ReactorError, 500, "failed"),
)


def problem_of(error: ReactorError) -> ProblemDetails:
    """The answer that says what went wrong."""
    _, status, title = next(kind for kind in _KINDS if isinstance(error, kind[0]))
    return problem(status, title, str(error), exit_code=error.exit_code)


def problem(status: int, title: str, detail: str, *, exit_code: int) -> ProblemDetails:
    """An answer for a refusal that is none of our errors."""
    return ProblemDetails(
        type=f"urn:reactor:{title.replace(' ', '-')}",
        title=title,
        status=status,
        detail=detail,
        exit_code=exit_code,
    )
