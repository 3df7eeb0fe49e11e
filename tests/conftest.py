"""What all tests share: asyncio, and a real broker."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.from_thread
import pytest
from hypothesis import HealthCheck, settings

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
    """A real server without users, shared by all tests: NATS_URL, a container, or the bundled binary.

    Whoever needs a broker of its own (to kill it, or with other streams) takes `fresh_broker`.
    """
    if url := os.environ.get("NATS_URL"):
        yield url
    elif os.environ.get("CALLBOARD_TEST_BROKER") == "container":
        with server_container() as url:
            yield url
    else:
        with bundled(tmp_path_factory.mktemp("broker")) as url:
            yield url


@pytest.fixture
async def fresh_broker(tmp_path: Path) -> AsyncIterator[str]:
    """A bundled server of this test's own, empty."""
    async with start_server(Plan(store=tmp_path / "nats", sync="2m")) as server:
        yield server.url


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses, so that tests can share a broker."""
    return f"t{secrets.token_hex(6)}"


@contextmanager
def bundled(store: Path) -> Iterator[str]:
    """Run the bundled server in a thread of its own, so that it serves every test's event loop."""
    with (
        anyio.from_thread.start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(start_server(Plan(store=store, sync="2m"))) as server,
    ):
        yield server.url
