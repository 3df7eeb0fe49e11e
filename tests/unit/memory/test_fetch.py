"""What a stranger may have us fetch: pages of the public internet, and nothing behind our own door."""

from collections.abc import Sequence

import pytest

from callboard_contracts.errors import CallboardError
from callboard_services.memory.ingest import fetch as fetching
from callboard_services.memory.ingest.address import is_public
from callboard_services.memory.ingest.fetch import fetch, normal
from tests.unit.memory.pages import answer, web


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::1"])
def test_an_address_of_the_public_internet_may_be_fetched_from(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "0.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.88.99.1",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b:1::1",
        "2002:7f00:1::", "2001::1", "2001:db8::1", "3fff::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fd00::1",
        "ff02::1", "ff0e::1", "5f00::1", "", "localhost", "8.8.8.8.8",
    ],
)  # fmt: skip
def test_no_other_address_may_whatever_it_carries_inside(address: str) -> None:
    assert not is_public(address)


async def test_a_page_is_fetched_with_its_type_over_a_connection_to_the_address_that_was_looked_at() -> None:
    async with web() as site:
        site.answers["/a?b=1"] = answer(b"<p>Hello</p>", content_type="text/html; charset=utf-8")
        page = await fetch(site.url("/a?b=1#part"), allow_private=True, resolve=site.resolve)
        assert (page.content_type, page.data) == ("text/html; charset=utf-8", b"<p>Hello</p>")
        assert f"Host: shop.example:{site.port}" in site.asked[0]


async def test_a_name_that_stands_for_an_inner_address_is_refused_and_nothing_is_asked() -> None:
    async with web() as site:
        with pytest.raises(CallboardError) as caught:
            await fetch(site.url("/"), resolve=site.resolve)
        assert (caught.value.code, site.asked) == ("address_refused", [])


async def test_one_inner_address_among_public_ones_is_enough_to_refuse() -> None:
    async def mixed(_host: str, _port: int) -> Sequence[str]:
        return ("8.8.8.8", "10.0.0.1")

    with pytest.raises(CallboardError) as caught:
        await fetch("http://shop.example/", resolve=mixed)
    assert caught.value.code == "address_refused"


async def test_an_address_that_takes_no_connection_gives_way_to_the_next() -> None:
    async with web() as site:
        site.answers["/"] = answer(b"here", content_type="text/plain")

        async def several(_host: str, _port: int) -> Sequence[str]:
            return ("::1", "127.0.0.2", "127.0.0.1")

        assert (await fetch(site.url("/"), allow_private=True, resolve=several)).data == b"here"

        async def none(_host: str, _port: int) -> Sequence[str]:
            return ()

        with pytest.raises(CallboardError, match="has no address"):
            await fetch(site.url("/"), allow_private=True, resolve=none)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://[::1]/", "http://[::ffff:7f00:1]/",
     "https://localhost/"],
)  # fmt: skip
async def test_an_inner_address_is_refused_however_it_is_written(url: str) -> None:
    with pytest.raises(CallboardError) as caught:
        await fetch(url)
    assert caught.value.code == "address_refused"


async def test_a_redirect_is_looked_at_like_the_first_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "is_public", lambda address: address == "127.0.0.1")  # the test's own web is public

    async def resolve(host: str, _port: int) -> Sequence[str]:
        return ("127.0.0.1",) if host == "shop.example" else (host,)

    async with web() as site:
        site.answers["/moved"] = answer(b"", status="302 Found", location="/there")
        site.answers["/there"] = answer(b"it is here", content_type="text/plain")
        site.answers["/inner"] = answer(b"", status="302 Found", location="http://169.254.169.254/latest/meta-data")
        site.answers["/file"] = answer(b"", status="302 Found", location="file:///etc/passwd")
        assert (await fetch(site.url("/moved"), resolve=resolve)).data == b"it is here"
        with pytest.raises(CallboardError) as caught:
            await fetch(site.url("/inner"), resolve=resolve)
        assert caught.value.code == "address_refused"
        with pytest.raises(CallboardError) as caught:
            await fetch(site.url("/file"), resolve=resolve)
        assert caught.value.code == "invalid_request"


async def test_redirects_in_a_circle_end() -> None:
    async with web() as site:
        site.answers["/"] = answer(b"", status="301 Moved", location="/")
        with pytest.raises(CallboardError, match="redirects"):
            await fetch(site.url("/"), allow_private=True, resolve=site.resolve)
        assert len(site.asked) == fetching.MOST_REDIRECTS + 1


async def test_what_is_larger_than_may_be_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_BYTES", 100_000)
    async with web() as site:
        site.answers["/"] = answer(bytes(200_000), content_type="text/plain")
        with pytest.raises(CallboardError) as caught:
            await fetch(site.url("/"), allow_private=True, resolve=site.resolve)
        assert caught.value.code == "file_too_large"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (answer(b"no", status="404 Not Found"), "404"),
        (answer(b"no", status="500 Oh"), "500"),
        (answer(b"\x1f\x8b", content_encoding="gzip"), "packed"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "fetch|body|peer"),
        (b"SMTP ready\r\n", "."),
    ],
)  # fmt: skip
async def test_an_answer_that_is_no_page_is_a_clear_error(sent: bytes, reason: str) -> None:
    async with web() as site:
        site.answers["/"] = sent
        with pytest.raises(CallboardError, match=reason) as caught:
            await fetch(site.url("/"), allow_private=True, resolve=site.resolve)
        assert caught.value.code == "fetch_failed"


@pytest.mark.parametrize(
    "url", ["ftp://shop.example/", "shop.example", "http://", "http://me:secret@shop.example/", "http://[::1/"]
)
def test_what_is_no_url_of_a_page_is_refused(url: str) -> None:
    with pytest.raises(CallboardError) as caught:
        normal(url)
    assert caught.value.code == "invalid_request"


def test_a_page_is_known_by_one_url_whatever_part_of_it_is_pointed_at() -> None:
    assert (
        normal("HTTPS://Shop.Example/a?b=1#part")
        == normal("https://shop.example/a?b=1")
        == "https://shop.example/a?b=1"
    )
