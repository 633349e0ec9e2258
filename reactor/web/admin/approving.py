"""What goes over the API about steps that wait for a person."""

from datetime import datetime
from typing import Any

import msgspec

from reactor.web.admin.wire import Answer, Request


class ApprovalView(Answer, frozen=True, kw_only=True):
    """A step that waits for a person; `form` has the fields to fill in by name."""

    execution: str
    flow: str
    step: str
    question: str
    form: dict[str, Any]
    since: datetime
    until: datetime | None


class ApprovalItems(Answer, frozen=True, kw_only=True):
    """What waits for people, the oldest first."""

    items: list[ApprovalView]


class Approve(Request, frozen=True, kw_only=True):
    """A yes: the step if several wait, the form's values, who says it (else the caller)."""

    step: str | None = None
    form: dict[str, Any] = msgspec.field(default_factory=dict)
    by: str | None = None


class Deny(Request, frozen=True, kw_only=True):
    """A no: the step if several wait, why, who says it (else the caller)."""

    step: str | None = None
    message: str | None = None
    by: str | None = None


class Answered(Answer, frozen=True, kw_only=True):
    """The step that got its answer."""

    execution: str
    step: str
    approved: bool
    by: str
