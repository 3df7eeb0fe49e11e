"""Nobody comes in without a key, save on loopback where there is none, and no other page comes in through a browser."""

import base64
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from callboard import keys
from callboard_contracts.errors import CallboardError
from callboard_services.gateway.auth import OPEN, is_loopback
from callboard_services.gateway.routes import ROUTES
from tests.gateway.conftest import Site, free_port, site_on

PATHS = [
    (route.method, route.path.replace(":path", "").replace("{run}", "01KDVDNA00CDGPRV32DXGQ4S11")) for route in ROUTES
]


@pytest.fixture
async def locked(fresh_broker: str, tmp_path: Path) -> AsyncIterator[tuple[Site, str]]:
    """A gateway on loopback with a key."""
    key = keys.add(tmp_path / "data", "ada")
    async with site_on(fresh_broker, tmp_path / "data") as site:
        yield site, key


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Bearer cb_", "Basic !!", "Basic eDp5", "Digest x"])
async def test_without_a_valid_key_every_route_but_the_health_checks_is_closed(
    locked: tuple[Site, str], authorization: str
) -> None:
    site, _ = locked
    headers = {"Authorization": authorization} if authorization else {}
    for method, path in [*PATHS, ("GET", "/openapi.json"), ("GET", "/nowhere")]:
        answer = await site.http.request(method, path, headers=headers)
        if path in OPEN:
            assert answer.status_code == 200
            continue
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), path
        assert "Bearer" in answer.headers["www-authenticate"]
    assert await site.goals() == 0


async def test_a_key_opens_as_bearer_and_as_a_browsers_password(locked: tuple[Site, str]) -> None:
    site, key = locked
    basic = base64.b64encode(f"anyone:{key}".encode()).decode()
    for authorization in (f"Bearer {key}", f"Basic {basic}"):
        answer = await site.http.get("/v1/runs", headers={"Authorization": authorization})
        assert answer.status_code == 200


async def test_the_keys_name_is_the_principal(locked: tuple[Site, str]) -> None:
    site, key = locked
    await site.http.post("/v1/goals", json={"objective": "x"}, headers={"Authorization": f"Bearer {key}"})
    found = await site.bus.api("STREAM.MSG.GET.GOALS", {"last_by_subj": "cb.default.goal._"})
    assert json.loads(base64.b64decode(found["message"]["data"]))["principal"] == "ada"


async def test_a_key_counts_from_the_moment_it_is_made_until_it_is_removed(locked: tuple[Site, str]) -> None:
    site, _ = locked
    key = keys.add(site.settings.data, "bob")
    headers = {"Authorization": f"Bearer {key}"}
    assert (await site.http.get("/v1/tools", headers=headers)).status_code == 200
    keys.remove(site.settings.data, "bob")
    assert (await site.http.get("/v1/tools", headers=headers)).status_code == 401


async def test_a_key_file_that_cannot_be_read_lets_nobody_in(locked: tuple[Site, str]) -> None:
    site, key = locked
    keys.path_of(site.settings.data).write_text("[{")
    assert (await site.http.get("/v1/tools", headers={"Authorization": f"Bearer {key}"})).status_code == 401


async def test_on_another_address_than_loopback_a_key_is_needed_though_there_is_none(
    fresh_broker: str, tmp_path: Path
) -> None:
    async with site_on(fresh_broker, tmp_path / "data", http=f"0.0.0.0:{free_port()}") as site:
        assert (await site.http.get("/v1/runs")).status_code == 401
        assert (await site.http.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "rebound.example:8420"},
    ],
)
async def test_another_sites_page_cannot_use_an_open_gateway(site: Site, headers: dict[str, str]) -> None:
    answer = await site.http.post("/v1/goals", json={"objective": "x"}, headers=headers)
    assert answer.status_code == 401
    assert await site.goals() == 0


async def test_a_browser_is_asked_for_a_password_in_a_header_of_its_own_and_not_when_it_sent_a_key(site: Site) -> None:
    keys.add(site.settings.data, "ada")
    opened = await site.http.get("/approvals")
    assert [one.partition(" ")[0] for one in opened.headers.get_list("www-authenticate")] == ["Bearer", "Basic"]
    typed = await site.http.get("/v1/runs", headers={"authorization": "Bearer cb_wrong"})
    assert [one.partition(" ")[0] for one in typed.headers.get_list("www-authenticate")] == ["Bearer"]


async def test_the_gateways_own_pages_may(site: Site) -> None:
    host = httpx.URL(site.url).netloc.decode()
    headers = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert (await site.http.get("/v1/runs", headers=headers)).status_code == 200


async def test_a_link_to_a_run_can_be_followed_from_anywhere(site: Site) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await site.http.get("/", headers=link)).status_code == 200
    assert (await site.http.post("/v1/goals", json={"objective": "x"}, headers=link)).status_code == 401


def test_only_the_hash_of_a_key_is_kept_and_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    token = keys.add(tmp_path, "ada")
    file = keys.path_of(tmp_path)
    assert token.startswith("cb_")
    assert len(token) > 43
    assert token not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [key.name for key in keys.entries(tmp_path)] == ["ada"]
    assert keys.find(keys.entries(tmp_path), token) == keys.entries(tmp_path)[0]
    assert keys.find(keys.entries(tmp_path), token[:-1]) is None


@pytest.mark.parametrize("name", ["", "local", "a b", "../x", "ada"])
def test_a_name_that_is_taken_or_none_is_refused(tmp_path: Path, name: str) -> None:
    keys.add(tmp_path, "ada")
    with pytest.raises(CallboardError, match=r"key|named"):
        keys.add(tmp_path, name)


def test_removing_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CallboardError, match="no key"):
        keys.remove(tmp_path, "ada")


def test_loopback_is_told_from_every_other_address() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.3.2.1", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", "")))  # noqa: S104
