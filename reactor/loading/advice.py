"""What is allowed and probably not meant: warnings and notes about one flow."""

from reactor.loading.report import Report
from reactor.loading.values import MapValue
from reactor.model.flow import Flow


def advise(flow: Flow, value: MapValue, report: Report) -> None:
    """Add warnings and notes about a flow that loads."""
