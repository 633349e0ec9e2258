"""How a flow's executions share the machine, and what its steps take when they say nothing."""

from msgspec import Struct

from reactor.loading.configs import measure
from reactor.loading.context import Context
from reactor.loading.names import Names
from reactor.loading.retries import default_retry, read_retry
from reactor.loading.values import Entry, MapValue, Scalar, Value, from_plain
from reactor.loading.words import KeepWords, RunWords
from reactor.model.flow import Keep, Run
from reactor.model.retry import Retry
from reactor.units import Duration


class Limits(Struct, frozen=True):
    """What steps take when they say nothing themselves."""

    retry: Retry | None = None
    timeout_secs: float | None = None


def read_limits(value: MapValue, names: Names, context: Context) -> Limits:
    """What the steps of a flow take when they say nothing: the flow's own, else the defaults."""
    scope = names.with_more("error").condition()
    timeout = value.get("timeout")
    secs = context.loading.defaults.timeout_secs
    if timeout is not None:
        secs = None
        if isinstance(timeout, Scalar):
            secs = measure(timeout, Duration, "timeout", context.report)
        else:
            context.report.error(timeout, "timeout takes a duration such as 30s")
    if (retry := value.get("retry")) is not None:
        return Limits(read_retry(retry, scope, context), secs)
    return Limits(default_retry(scope, context), secs)


def read_run(value: Value | None, names: Names, context: Context) -> Run:
    """`run` of a flow, else of the defaults; not mixed."""
    if value is None:
        written = context.loading.defaults.run
        if written is None:
            return Run()
        value = from_plain(written)
    if isinstance(value, Scalar):
        value = MapValue((Entry(Scalar("mode", "mode", value.at), value),), value.at)

    read = context.shape(value, RunWords, "run", names.trigger())
    if read is None:
        return Run()
    return Run(
        mode=read.mode,
        max=read.max,
        key=read.key,
        hold_on_fail=read.on_fail == "hold",
        timeout_secs=None if read.timeout is None else float(read.timeout),
    )


def read_keep(value: Value | None, context: Context) -> Keep:
    """How long executions are kept."""
    usual = context.loading.defaults.keep
    if value is None:
        return usual
    read = context.shape(value, KeepWords, "keep", Names().trigger())
    if read is None or not isinstance(value, MapValue):
        return usual
    return Keep(
        float(read.ok) if value.entry("ok") else usual.ok_secs,
        float(read.failed) if value.entry("failed") else usual.failed_secs,
    )
