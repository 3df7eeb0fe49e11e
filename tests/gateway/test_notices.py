"""What people should hear of reaches every webhook that wants it: signed, until it is taken, whoever dies meanwhile."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from callboard.bus import Bus, layout, reader
from callboard.bus.users import users
from callboard.server import passwords, start_server
from callboard.server.config import Plan
from callboard.settings import Settings
from callboard_contracts import dead, ids, notice, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_services.gateway import posting
from callboard_services.gateway.notifier import Notifier
from callboard_services.gateway.serve import serve as gateway
from callboard_services.gateway.webhooks import Endpoint, configured
from tests.gateway.conftest import running, site_on
from tests.gateway.hook import HANG, Hook, hook

RUN = ids.ulid(1_767_225_600_000, b"0123456789")
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
AT_ONCE = (0.05,) * 9


def asked(number: int = 0, **more: Any) -> notice.Approval:
    given: dict[str, Any] = {"tool": "payments.refund", "objective": "Settle ticket 4711", "reason": "above 50 dollars"}
    return notice.Approval(
        id=f"{RUN}-2-{number}_requested_0",
        request=f"{RUN}-2-{number}",
        run=RUN,
        stage="requested",
        at_ms=1,
        **(given | more),
    )


def endpoint(to: Hook, name: str = "slack", *kinds: str) -> Endpoint:
    return Endpoint(name, to.url, Webhook(SECRET), kinds)


async def say(bus: Bus, *said: notice.Notice) -> None:
    for one in said:
        kind = "approval" if isinstance(one, notice.Approval) else "spend"
        await bus.publish(subjects.notice("default", kind), wire.encode(one), {wire.ID: one.id})


@asynccontextmanager
async def notifying(
    url: str, *to: Endpoint, delays_s: Sequence[float] = AT_ONCE, timeout_s: float = 15
) -> AsyncIterator[Bus]:
    """Run a notifier on a broker, and yield a connection of one's own."""
    async with await Bus.connect(url, name="test") as bus, await Bus.connect(url, name="gateway") as own:
        await layout.provision(bus, 1)
        notifier = Notifier(own, to, "http://callboard.test", delays_s=delays_s, timeout_s=timeout_s)
        await notifier.start()
        try:
            yield bus
        finally:
            await notifier.stop()


async def letter(bus: Bus) -> dead.Letter:
    async with asyncio.timeout(15):
        while (found := await reader.last(bus, layout.DEAD, "cb.default.dead.gateway")) is None:  # noqa: ASYNC110 - of a broker
            await asyncio.sleep(0.02)
    return wire.decode(found.body, dead.Letter)


async def pending(bus: Bus, durable: str) -> int:
    info = await bus.api(f"CONSUMER.INFO.{layout.NOTICES}.{durable}")
    return int(info["num_ack_pending"] + info["num_pending"])


async def nothing_left(bus: Bus) -> None:
    async with asyncio.timeout(10):
        while await pending(bus, "notifier") + await pending(bus, "poster"):  # noqa: ASYNC110 - of a broker
            await asyncio.sleep(0.02)


async def test_a_webhook_that_fails_twice_is_told_a_third_time_with_the_same_id_and_a_valid_signature(
    fresh_broker: str,
) -> None:
    async with hook(500, 503, 204) as to, notifying(fresh_broker, endpoint(to)) as bus:
        await say(bus, asked())
        received = await to.had(3)
        await nothing_left(bus)
    assert len(received) == 3
    assert {one.headers["webhook-id"] for one in received} == {asked().id}
    for one in received:
        told = Webhook(SECRET).verify(one.body, one.headers)
        assert told["type"] == "approval.requested"
        assert told["data"]["link"] == f"http://callboard.test/approvals/{RUN}-2-0"
        assert told["data"]["link"] in told["text"]
        assert "payments.refund" in told["text"]


async def test_a_slow_webhook_holds_up_no_other(fresh_broker: str) -> None:
    async with (
        hook(HANG) as slow,
        hook() as quick,
        notifying(fresh_broker, endpoint(slow, "slow"), endpoint(quick, "quick")) as bus,
    ):
        await say(bus, *(asked(n) for n in range(40)))
        received = await quick.had(40, timeout_s=10)
        assert len(slow.received) <= 4
        assert await pending(bus, "poster") >= 36
    assert len({one.headers["webhook-id"] for one in received}) == 40


async def test_those_behind_a_posting_that_is_not_answered_fail_with_it_and_take_no_time(fresh_broker: str) -> None:
    async with hook(HANG) as to, notifying(fresh_broker, endpoint(to), delays_s=(30,), timeout_s=0.3) as bus:
        await say(bus, *(asked(n) for n in range(40)))
        await to.had(4)
        await asyncio.sleep(1)
        assert len(to.received) == 4
        assert await pending(bus, "poster") == 40


async def test_one_webhooks_failure_sends_nothing_twice_to_another(fresh_broker: str) -> None:
    async with (
        hook(500, 500, 204) as failing,
        hook() as good,
        notifying(fresh_broker, endpoint(failing, "failing"), endpoint(good, "good")) as bus,
    ):
        await say(bus, asked(), asked())  # its cause may say it twice
        await failing.had(3)
        await nothing_left(bus)
    assert (len(failing.received), len(good.received)) == (3, 1)


async def test_a_webhook_that_never_takes_it_is_given_up_and_the_dead_letter_says_why(fresh_broker: str) -> None:
    async with hook(500) as to, notifying(fresh_broker, endpoint(to), delays_s=(0.02, 0.02)) as bus:
        await say(bus, asked())
        found = await letter(bus)
        await nothing_left(bus)
    assert (found.code, len(to.received)) == ("webhook_failed", 3)
    assert "slack" in found.reason
    assert "answered 500" in found.reason
    assert asked().id in found.body
    assert SECRET not in found.body + found.reason


@pytest.mark.parametrize("status", [302, 410])
async def test_a_redirect_is_not_followed_and_gone_is_final(fresh_broker: str, status: int) -> None:
    async with hook(status) as to, notifying(fresh_broker, endpoint(to), delays_s=(0.02,)) as bus:
        await say(bus, asked())
        found = await letter(bus)
    assert f"answered {status}" in found.reason
    assert len(to.received) == (1 if status == 410 else 2)


async def test_a_webhook_hears_only_of_the_kinds_that_it_wants(fresh_broker: str) -> None:
    spent = notice.Spend(
        id="spend_1", scope="skill", key="refunds", spent_micro_usd=2_500_000, threshold_micro_usd=1_000_000,
        window_s=3600, reason="more than 1.00 within an hour", at_ms=1,
    )  # fmt: skip
    async with hook() as money, hook() as all_, hook() as none:
        to = (
            endpoint(money, "money", "spend"),
            endpoint(all_, "all"),
            endpoint(none, "late", "approval.escalated"),
        )
        async with notifying(fresh_broker, *to) as bus:
            await say(bus, asked(), spent)
            await all_.had(2)
            await nothing_left(bus)
    assert [one.told["type"] for one in money.received] == ["spend.exceeded"]
    assert "$2.50" in money.received[0].told["text"]
    assert none.received == []


async def test_what_was_said_while_no_gateway_ran_is_posted_by_the_next_and_by_one_of_several(
    fresh_broker: str,
) -> None:
    async with hook() as to:
        async with notifying(fresh_broker) as bus:  # without a webhook nothing is taken
            await say(bus, *(asked(n) for n in range(20)))
        async with notifying(fresh_broker, endpoint(to)) as bus, notifying(fresh_broker, endpoint(to)):
            await to.had(20)
            await nothing_left(bus)
    assert len(to.received) == 20


async def test_a_posting_that_waits_for_its_next_try_outlives_the_gateway(fresh_broker: str) -> None:
    async with hook(500, 204) as to:
        async with notifying(fresh_broker, endpoint(to), delays_s=(1.0,)) as bus:
            await say(bus, asked())
            await to.had(1)
        async with notifying(fresh_broker, endpoint(to)) as bus:
            await to.had(2)
            await nothing_left(bus)
    assert len(to.received) == 2


async def test_what_is_no_notice_goes_to_the_dead_letters(fresh_broker: str) -> None:
    async with hook() as to, notifying(fresh_broker, endpoint(to)) as bus:
        await bus.publish(subjects.notice("default", "approval"), b"{}")
        assert (await letter(bus)).code == "undecodable"
        await nothing_left(bus)
    assert to.received == []


def test_the_delays_are_those_that_standard_webhooks_recommends() -> None:
    hours = 3600
    assert (5, 300, 1800, *(h * hours for h in (2, 5, 10, 14, 20, 24))) == posting.DELAYS_S


async def test_a_gateway_with_a_file_of_webhooks_posts_with_the_brokers_permissions_for_it_alone(
    tmp_path: Path,
) -> None:
    found = passwords(tmp_path, [user.name for user in users()])
    data = tmp_path / "data"
    data.mkdir()
    async with hook() as to, start_server(Plan(store=tmp_path / "nats", sync="2m", passwords=found)) as server:
        (data / "webhooks.toml").write_text(f'[[webhook]]\nname = "ops"\nurl = "{to.url}"\nsecret = "{SECRET}"\n')
        async with site_on(server.url_of("operator"), data, url_of=server.url_of) as site:
            async with await Bus.connect(server.url_of("approval"), name="approval") as approval:
                await say(approval, asked())
            received = await to.had(1)
            await nothing_left(site.bus)
    assert received[0].told["data"]["link"] == f"{site.url}/approvals/{RUN}-2-0"


FILES = {
    "[[webhook]": "webhooks.toml",
    '[[webhook]]\nname = "x"\n': "url",
    '[[webhook]]\nname = "X y"\nurl = "http://x"\nsecret = "whsec_YWE="\n': "name 'X y'",
    '[[webhook]]\nname = "x"\nurl = "ftp://x"\nsecret = "whsec_YWE="\n': "not that of an http",
    '[[webhook]]\nname = "x"\nurl = "http://x"\nsecret = "hunter2"\n': "not `whsec_`",
    '[[webhook]]\nname = "x"\nurl = "http://x"\n': "one of secret and secret_env",
    '[[webhook]]\nname = "x"\nurl = "http://x"\nsecret_env = "NONE"\n': "no variable 'NONE'",
    '[[webhook]]\nname = "x"\nurl = "http://x"\nsecret = "whsec_YWE="\nkinds = ["all"]\n': "kinds",
    '[[webhook]]\nname = "x"\nurl = "http://x"\nsecret = "whsec_YWE="\n' * 2: "two webhooks are called 'x'",
}


@pytest.mark.parametrize(("text", "problem"), FILES.items(), ids=FILES.values())
def test_a_file_of_webhooks_that_cannot_be_used_is_refused_with_the_place_and_without_the_secret(
    tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "webhooks.toml").write_text(text)
    with pytest.raises(CallboardError, match=problem) as refused:
        configured(Settings(data=tmp_path), {})
    assert refused.value.code == "invalid_request"
    assert "hunter2" not in str(refused.value)


def test_a_named_file_must_be_there_and_the_usual_one_need_not(tmp_path: Path) -> None:
    assert configured(Settings(data=tmp_path)) == ()
    with pytest.raises(CallboardError, match=r"gone\.toml cannot be read"):
        configured(Settings(data=tmp_path, webhooks=str(tmp_path / "gone.toml")))


def test_a_secret_may_be_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "hooks.toml").write_text('[[webhook]]\nname = "x"\nurl = "http://x"\nsecret_env = "HOOK"\n')
    (found,) = configured(Settings(webhooks=str(tmp_path / "hooks.toml")), {"HOOK": SECRET})
    assert found.name == "x"
    assert SECRET not in repr(found)


async def test_a_gateway_does_not_start_with_webhooks_that_cannot_be_used(fresh_broker: str, tmp_path: Path) -> None:
    settings = Settings(nats=fresh_broker, data=tmp_path, http="127.0.0.1:0", webhooks=str(tmp_path / "gone.toml"))
    with pytest.raises(CallboardError, match="cannot be read"):
        async with running(gateway, fresh_broker, settings, "gateway", asyncio.Event()):
            pass
