"""The brokers that tests are given."""

import pytest

from callboard.bus import Bus


async def test_the_shared_broker_serves_any_tests_event_loop(broker: str, tenant: str) -> None:
    async with await Bus.connect(broker, name="test") as bus:
        assert await bus.api("INFO")
        assert bus.connected
        assert tenant


async def test_a_fresh_broker_is_empty(fresh_broker: str) -> None:
    async with await Bus.connect(fresh_broker, name="test") as bus:
        assert (await bus.api("STREAM.NAMES"))["total"] == 0


@pytest.mark.docker
def test_the_same_server_runs_in_a_container_built_from_nothing() -> None:
    from tests.container import engine_answers, server_container

    if not engine_answers():
        pytest.skip("no Docker engine answers")
    with server_container() as url:
        assert url.startswith("nats://")
