"""What every part of a flow's reading needs: where problems go, which words there are."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from msgspec import Struct

from reactor.expr.scope import Scope
from reactor.loading.configs import Meta, Unknown, Walk
from reactor.loading.hints import Hint
from reactor.loading.report import Report
from reactor.loading.values import Entry, MapValue, Scalar, Value
from reactor.model.flow import Defaults
from reactor.plugin.catalog import Catalog
from reactor.plugin.decode import DecodeFailed, decode
from reactor.plugin.fields import info

T = TypeVar("T")

_ID = re.compile(r"[a-z][a-z0-9_]*")
_FLOW_NAME = re.compile(r"[a-z][a-z0-9-]*")


class Loading(Struct, frozen=True, kw_only=True):
    """What flows are checked against: the words, the defaults, the environment they may read.

    `allow_later` lets words pass that this build has in the language but does not run.
    """

    catalog: Catalog
    defaults: Defaults = Defaults()
    env: frozenset[str] = frozenset()
    allow_later: bool = False


class Context(Struct, frozen=True):
    """One document being read."""

    loading: Loading
    report: Report

    def shape(
        self,
        value: Value,
        shape: Callable[..., T],
        name: str,
        scope: Scope,
        unknown: Unknown | None = None,
    ) -> T | None:
        """The engine's own words as their typed shape; None, reported, where they do not fit."""
        walk = Walk(self.report, scope, unknown=unknown)
        tree = walk.walk(value, info(shape), Meta(name, "literal"))
        return self.fit(value, tree, shape)

    def fit(self, value: Value, tree: Any, shape: Callable[..., T]) -> T | None:
        """Plain data as a typed shape; what is wrong with it was reported, or is now."""
        try:
            return decode(tree, shape)  # type: ignore[no-any-return]
        except DecodeFailed as error:
            if not self.report.failed:
                self.report.error(value, str(error))
            return None

    def hinted(self, entry: Entry, hints: Mapping[str, Hint], where: str) -> bool:
        """Whether another system's key was explained."""
        hint: Hint | None = hints.get(entry.key.text)
        if hint is None:
            return False
        message, key = hint
        said = (
            message
            if message.startswith("no action")
            else f"no key '{entry.key.text}' {where}; {message}"
        )
        repaired = None if key is None else self.report.with_text(entry.key.at, key)
        self.report.error(entry.key, said, repaired=repaired)
        return True

    def later(self, where: Value, word: str, has: Iterable[str]) -> None:
        """A word of the language that this build does not run yet."""
        if not self.loading.allow_later:
            known = ", ".join(has)
            self.report.error(where, f"'{word}' is not built yet: this build has {known}")

    def identifier(self, value: Value, what: str) -> str | None:
        """A name such as a step's id."""
        if not isinstance(value, Scalar) or not _ID.fullmatch(value.text):
            text = value.text if isinstance(value, Scalar) else ""
            better = as_identifier(text)
            read_as = f"steps.{text}" if what == "ids" else text
            example = f" ({read_as} would be a subtraction)" if "-" in text else ""
            message = f"{what} are [a-z][a-z0-9_]*{example}: {better or 'send_mail'}"
            repaired = self.report.with_text(value.at, better) if better else None
            self.report.error(value, message, repaired=repaired)
            return None
        return value.text

    def flow_name(self, value: Value) -> str | None:
        """The name of a flow."""
        if isinstance(value, Scalar) and _FLOW_NAME.fullmatch(value.text):
            return value.text
        if isinstance(value, Scalar) and value.value is None:
            self.report.error(value, "flow is empty: give the flow a name, such as push-to-slack")
            return None
        text = value.text if isinstance(value, Scalar) else ""
        better = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-0123456789")
        message = f"names of flows are [a-z][a-z0-9-]*: {better or 'push-to-slack'}"
        repaired = self.report.with_text(value.at, better) if better else None
        self.report.error(value, message, repaired=repaired)
        return None

    def map_of(self, value: Value, what: str) -> MapValue | None:
        """A map, or None with the problem reported."""
        if isinstance(value, MapValue):
            return value
        self.report.error(value, f"{what} is a map of keys and values")
        return None


def as_identifier(text: str) -> str:
    """The nearest name that may be an id."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_0123456789")
