"""A ledger that dies while it signs signs nothing twice, and the next one proves what it would have proved."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callboard.bus import Bus, BusError
from tests.integration.processes import CRASHED, Host
from tests.ledger.archive import write_tree
from tests.ledger.conftest import ask
from tests.ledger.test_audit import RUN, checkpoints, proved, tails


@pytest.fixture
async def host(fresh_broker: str, tmp_path: Path) -> AsyncIterator[Host]:
    host = Host(fresh_broker, tmp_path, {})
    yield host
    await host.close()


@pytest.mark.parametrize(("point", "signed"), [("ledger.before_checkpoint", 0), ("ledger.after_checkpoint", 1)])
async def test_what_was_to_be_signed_is_signed_once(bus: Bus, host: Host, point: str, signed: int) -> None:
    await write_tree(bus, RUN)
    ledger = await host.start("ledger", crash_at=point)
    asked = asyncio.create_task(ask(bus, "audit", run=RUN))
    assert await ledger.ended() == CRASHED
    asked.cancel()
    with pytest.raises((asyncio.CancelledError, BusError)):
        await asked
    assert len(await checkpoints(bus)) == signed
    await host.start("ledger")
    assert proved(await ask(bus, "audit", run=RUN)) == await tails(bus, RUN)
    assert len(await checkpoints(bus)) == 1
