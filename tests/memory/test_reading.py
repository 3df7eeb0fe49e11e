"""Documents of strangers are read in processes of their own: whatever becomes of those costs one document."""

import base64

import pytest

from callboard_contracts.errors import CallboardError
from callboard_services.memory.ingest.parse import parse
from callboard_services.memory.ingest.parsed import Parsed
from callboard_services.memory.ingest.reading import Reader
from tests.unit.memory.test_parse import PAGE


async def test_what_is_read_in_a_process_of_its_own_is_the_same() -> None:
    assert await Reader().read("a.html", "", PAGE.encode()) == parse("a.html", "", PAGE.encode())


async def test_a_document_that_takes_too_long_or_too_much_costs_itself_alone() -> None:
    slow = Reader(timeout_s=0.05)
    with pytest.raises(CallboardError, match="took more than"):
        await slow.read("a.html", "", PAGE.encode())
    small = Reader(memory_bytes=16 * 1024 * 1024)
    with pytest.raises(CallboardError, match=r"memory|died|ended") as caught:
        await small.read("a.html", "", b"<p>" + base64.b64encode(bytes(12_000_000)) + b"</p>")
    assert caught.value.code == "unreadable_document"
    assert isinstance(await Reader().read("a.html", "", PAGE.encode()), Parsed)


async def test_elements_that_are_nested_too_deep_are_refused() -> None:
    with pytest.raises(CallboardError, match="nested too deep"):
        await Reader().read("a.html", "", b"<div>" * 30_000 + b"x")
