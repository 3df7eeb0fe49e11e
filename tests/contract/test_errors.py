import re
from typing import get_args

import pytest

from callboard_contracts import errors
from callboard_contracts.errors import CATALOGUE, CallboardError, Entry

EVERY = [pytest.param(entry, id=entry.code) for entry in CATALOGUE.values()]


def test_every_code_is_in_the_catalogue_once() -> None:
    assert len(CATALOGUE) == len(errors._ENTRIES)


@pytest.mark.parametrize("entry", EVERY)
def test_a_code_is_snake_case(entry: Entry) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", entry.code)


@pytest.mark.parametrize("entry", EVERY)
def test_an_advice_is_a_sentence_and_a_title_is_not(entry: Entry) -> None:
    assert re.fullmatch(r"[A-Z`].*[a-z0-9`]\.", entry.advice)
    assert re.fullmatch(r"[A-Z].*[a-z0-9A-Z]", entry.title)


@pytest.mark.parametrize("entry", EVERY)
def test_an_entry_says_what_happens_next_and_has_an_http_status(entry: Entry) -> None:
    assert entry.then in get_args(errors.Then)
    assert entry.status == 200 or 400 <= entry.status <= 599


def test_an_error_speaks_its_detail_and_knows_its_code() -> None:
    error = CallboardError("unknown_skill", "There is no skill `invoices`.")
    assert str(error) == "There is no skill `invoices`."
    assert error.code == "unknown_skill"


def test_an_error_that_is_in_no_catalogue_cannot_be_raised() -> None:
    with pytest.raises(KeyError):
        CallboardError("oops", "What now?")
