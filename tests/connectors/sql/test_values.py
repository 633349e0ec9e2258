"""Numbers of databases: no digit is lost, and none is made up."""

from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from reactor.connectors.sql.values import number

DIGITS = st.from_regex(r"-?\d{1,20}(\.\d{0,20})?([eE][+-]?\d{1,3})?", fullmatch=True)


@given(DIGITS)
@example("0.1")
@example("-0")
@example("-0.000")
@example("12.50")
@example("999999999999999")
@example("0.0000000000001")
@example("1e-400")
@example("1e300")
@example("9007199254740993.0")
@example("123456789012345678901234567890.125")
def test_a_number_is_exactly_what_was_written(text):
    """Whole numbers are whole, others binary where that says the same; the rest stays text."""
    found, exact = number(text), Decimal(text)

    if isinstance(found, str):
        assert found == text
        assert exact.adjusted() >= 40 or Decimal(repr(float(text))) != exact
    else:
        assert Decimal(repr(found)) == exact
        assert (
            isinstance(found, int) == (exact == exact.to_integral_value()) or abs(exact) >= 10**40
        )


def test_what_is_no_number_stays_text():
    """NaN and the infinities, which JSON has not, and what cannot be read."""
    told = ["NaN", "Infinity", "-Infinity", "inf", "", "abc", "sNaN", "1 2"]

    assert [number(text) for text in told] == told
