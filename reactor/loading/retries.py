"""`retry` in its forms, and which one counts: the step's, the flow's or the default."""

from reactor.expr.scope import Scope
from reactor.loading.context import Context
from reactor.loading.hints import RETRY_HINTS
from reactor.loading.values import Entry, MapValue, Scalar, Value, from_plain
from reactor.loading.words import RetryWords
from reactor.model.retry import Retry

OFF = Retry(max=0)


def read_retry(value: Value, scope: Scope, context: Context) -> Retry | None:
    """The retry that is written at a place; None, reported, where it is none."""
    report = context.report
    if isinstance(value, Scalar):
        if isinstance(value.value, int) and not isinstance(value.value, bool) and value.value >= 0:
            return Retry(max=value.value)
        remedy = (
            "retry takes the number of attempts after the first, or a map: {max: 5, within: 6h}"
        )
        if value.text in ("none", "never", "false", "off"):
            remedy = "retry: 0 switches it off"
        report.error(value, remedy)
        return None

    def unknown(entry: Entry, around: MapValue, known: list[str]) -> bool:
        return context.hinted(entry, RETRY_HINTS, "in retry")

    read = context.shape(value, RetryWords, "retry", scope, unknown=unknown)
    if read is None:
        return None
    if isinstance(value, MapValue) and read.max is None and read.within is None:
        report.error(value.first if value.entries else value, "retry needs max or within")
    return Retry(
        max=read.max,
        delay_secs=float(read.delay),
        factor=read.factor,
        max_delay_secs=float(read.max_delay),
        full_jitter=read.jitter == "full",
        within_secs=None if read.within is None else float(read.within),
        only_if=tuple(read.only_if),
        unless=tuple(read.unless),
    )


def default_retry(scope: Scope, context: Context) -> Retry | None:
    """`defaults.retry` of the settings."""
    written = context.loading.defaults.retry
    return None if written is None else read_retry(from_plain(written), scope, context)
