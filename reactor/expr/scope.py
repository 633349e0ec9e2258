"""What an expression may name where it stands, and what is said when it names something else."""

from collections.abc import Mapping

from msgspec import Struct

from reactor.errors import InvalidFlow


class Mistake(Struct, frozen=True):
    """One mistake in a text; `message` holds the remedy, `repaired` the corrected text."""

    offset: int
    length: int
    message: str
    repaired: str | None = None

    def moved(self, by: int) -> "Mistake":
        """The same mistake where the text stands `by` characters further on."""
        return Mistake(self.offset + by, self.length, self.message, self.repaired)


class ExpressionInvalid(InvalidFlow):
    """The text is no expression, or names what does not exist; `mistakes` has all of them."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("; ".join(each.message for each in mistakes))
        self.mistakes = mistakes


class Scope(Struct, frozen=True):
    """What may be named where the expression stands.

    `roots`: each root's known fields, None where anything goes. `absent`: for a path such as
    `steps.later`, the whole message to say when it is used. `tz`: the zone of time functions that
    name none.
    """

    roots: Mapping[str, frozenset[str] | None]
    absent: Mapping[str, str] = {}
    tz: str = "UTC"
