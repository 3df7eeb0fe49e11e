from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard_contracts import units


@given(st.integers(0, 10**15))
def test_micro_dollars_survive_being_written_as_dollars(amount: int) -> None:
    assert units.micro_usd(str(Decimal(amount) / units.MICRO)) == amount


@pytest.mark.parametrize(
    ("dollars", "micro"),
    [("0", 0), ("0.05", 50_000), (0.1, 100_000), ("0.0000005", 1), ("0.00000049", 0), ("1e-6", 1), (1, 1_000_000)],
)
def test_dollars_are_rounded_half_up_to_whole_micro_dollars(dollars: str | float, micro: int) -> None:
    assert units.micro_usd(dollars) == micro


@pytest.mark.parametrize("dollars", ["", "ten", "-0.01", -1, "nan", "inf", float("inf"), "1,5"])
def test_what_is_no_amount_is_refused_by_name(dollars: str | float) -> None:
    with pytest.raises(ValueError, match="is not an amount of US dollars"):
        units.micro_usd(dollars)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_price_is_rounded_up_by_less_than_one_micro_dollar(tokens: int, per_million: int) -> None:
    exact = Decimal(tokens) * per_million / units.MICRO
    assert exact <= units.priced(tokens, per_million) < exact + 1


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**9))
def test_a_reservation_for_all_covers_what_its_parts_cost_within_one_micro_dollar_a_part(
    some: int, more: int, per_million: int
) -> None:
    parts = units.priced(some, per_million) + units.priced(more, per_million)
    assert units.priced(some + more, per_million) <= parts <= units.priced(some + more, per_million) + 1


@given(st.integers(0, 10**12))
def test_dollars_are_for_people_and_exact_to_the_micro_dollar(amount: int) -> None:
    assert units.micro_usd(units.dollars(amount)) == amount
