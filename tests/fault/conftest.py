"""A broker per test, with what is acknowledged on disk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fault.house import Broker, breakable


@pytest.fixture
async def breaking(tmp_path: Path) -> AsyncIterator[Broker]:
    """A broker that may be killed."""
    async with breakable(tmp_path / "nats") as broker:
        yield broker
