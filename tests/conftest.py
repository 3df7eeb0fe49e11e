"""What all tests share: asyncio, and a real broker."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.from_thread
import pytest
from hypothesis import HealthCheck, settings

from callboard.bus import Bus, layout
from callboard.server import start_server
from callboard.server.config import Plan
from tests.container import server_container

# A busy machine is no defect: promises are about what holds, never about how fast one example was.
settings.register_profile("callboard", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("callboard")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run every asynchronous test on asyncio, which is what the services run on."""
    return "asyncio"


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server without users, shared by tests that give each its own tenant."""
    with empty_broker(tmp_path_factory.mktemp("broker")) as url:
        yield url


@pytest.fixture
def fresh_broker(tmp_path: Path) -> Iterator[str]:
    """A real server without users that holds nothing of ours."""
    with empty_broker(tmp_path / "nats") as url:
        yield url


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses, so that tests can share a broker."""
    return f"t{secrets.token_hex(6)}"


@contextmanager
def empty_broker(store: Path) -> Iterator[str]:
    """Run a real server that holds nothing of ours, and yield its URL.

    The bundled one; a container when CALLBOARD_TEST_BROKER=container; the one at NATS_URL when that is set, whose
    Callboard streams are deleted: give it a server for tests.
    """
    if url := os.environ.get("NATS_URL"):
        with anyio.from_thread.start_blocking_portal("asyncio") as portal:
            portal.call(_emptied, url)
        yield url
    elif os.environ.get("CALLBOARD_TEST_BROKER") == "container":
        with server_container() as url:
            yield url
    else:
        with _bundled(store) as url:
            yield url


@contextmanager
def _bundled(store: Path) -> Iterator[str]:
    """Run the bundled server in a thread of its own, so that it serves every test's event loop."""
    with (
        anyio.from_thread.start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(start_server(Plan(store=store, sync="2m"))) as server,
    ):
        yield server.url


async def _emptied(url: str) -> None:
    async with await Bus.connect(url, name="test") as bus:
        ours = {config["name"] for config in layout.streams(64)}
        for name in (await bus.api("STREAM.NAMES")).get("streams") or []:
            if name in ours:
                await bus.api(f"STREAM.DELETE.{name}")
