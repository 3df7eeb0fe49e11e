"""Spend alerts: what is reason for one, and that people hear of it once."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from callboard.bus import Bus, layout, reader
from callboard.testing.records import BusSink, Costs, Play
from callboard_contracts import notice, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.goal import Submit
from callboard_services.ledger.alerts import rules
from callboard_services.ledger.alerts.judge import judge
from callboard_services.ledger.alerts.rules import DAY_MINUTES, Rule, parse, read
from callboard_services.ledger.spending import MINUTE_MS, SCOPES, Moment, Scope
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import Rows
from tests.ledger.archive import eventually
from tests.ledger.conftest import Ledger, ask, run_id

NOW = 30_000_000
"""A minute."""
DOLLAR = 1_000_000
EACH_TREE = '[[alert]]\nscope = "tree"\nusd = 0.001\nwindow = "1h"\n'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "ledger.db", SCOPES)
    yield found
    found.close()


def spend(store: Store, *spent: tuple[int, int]) -> None:
    """Spend micro-dollars in minutes before now."""
    rows = Rows()
    rows.run(run_id(0), "default").update(skill="totals", principal="ada")
    rows.spent += [("default", run_id(0), (NOW - ago) * MINUTE_MS, amount) for ago, amount in spent]
    store.change(rows=rows)


def now_of(scope: Scope, key: str) -> Moment:
    return ("default", scope, key, NOW)


def test_an_amount_within_a_window_is_reason_and_what_lies_before_it_is_not(store: Store) -> None:
    spend(store, (60, 9 * DOLLAR), (59, 2 * DOLLAR), (0, 3 * DOLLAR))
    whose: dict[Scope, str] = {"tenant": "default", "skill": "totals", "user": "ada", "tree": run_id(0)}
    for scope, key in whose.items():
        found = judge(store, Rule(scope=scope, minutes=60, limit=5 * DOLLAR), now_of(scope, key))
        assert found is not None
        assert (found.spent_micro_usd, found.threshold_micro_usd, found.key) == (5 * DOLLAR, 5 * DOLLAR, key)
        assert judge(store, Rule(scope=scope, minutes=60, limit=5 * DOLLAR + 1), now_of(scope, key)) is None


def test_a_rule_for_one_of_a_scope_says_nothing_of_the_others(store: Store) -> None:
    spend(store, (0, DOLLAR))
    assert judge(store, Rule(scope="skill", key="other", limit=1), now_of("skill", "totals")) is None
    assert judge(store, Rule(scope="user", limit=1), now_of("skill", "totals")) is None
    assert judge(store, Rule(scope="skill", key="totals", limit=1), now_of("skill", "totals")) is not None


def test_a_jump_is_a_multiple_of_what_was_usual_the_day_before(store: Store) -> None:
    rule = Rule(scope="user", minutes=10, jump=5.0, floor=DOLLAR)
    spend(store, *((10 * window + 3, DOLLAR) for window in range(1, 12)), (0, 4 * DOLLAR))
    assert judge(store, rule, now_of("user", "ada")) is None
    spend(store, (1, DOLLAR))
    found = judge(store, rule, now_of("user", "ada"))
    assert found is not None
    assert (found.spent_micro_usd, found.threshold_micro_usd) == (5 * DOLLAR, 5 * DOLLAR)
    assert "$1.00 is usual" in found.reason


def test_nothing_is_a_jump_before_there_is_something_to_compare_with(store: Store) -> None:
    rule = Rule(scope="user", minutes=10, jump=5.0, floor=DOLLAR)
    spend(store, (45, 1), (0, 1000 * DOLLAR))
    assert judge(store, rule, now_of("user", "ada")) is None
    spend(store, (75, 1))
    assert judge(store, rule, now_of("user", "ada")) is not None


def test_what_is_seldom_used_may_spend_up_to_the_floor(store: Store) -> None:
    rule = Rule(scope="user", minutes=10, jump=5.0, floor=DOLLAR)
    spend(store, (DAY_MINUTES, 100), (0, DOLLAR - 1))
    assert judge(store, rule, now_of("user", "ada")) is None
    spend(store, (0, 1))
    assert judge(store, rule, now_of("user", "ada")) is not None


def test_an_alert_has_the_same_id_within_a_window_and_another_one_after_it(store: Store) -> None:
    rule = Rule(scope="user", minutes=10, limit=1)
    spend(store, (1, DOLLAR), (2, DOLLAR), (-10, DOLLAR))
    found = [judge(store, rule, ("default", "user", "ada", NOW + minute)) for minute in (0, 1, 10)]
    ids = [one.id for one in found if one is not None]
    assert (len(ids), ids[0] == ids[1], ids[0] == ids[2]) == (3, True, False)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[[alert", "cannot be read"),
        ("[[alert]]\nscope = 3", "alert[0].scope"),
        ('[[alert]]\nscope = "team"\nusd = 1', "spend alert 1: scope"),
        ('[[alert]]\nscope = "user"', "either usd or jump"),
        ('[[alert]]\nscope = "user"\nusd = 1\njump = 2', "either usd or jump"),
        ('[[alert]]\nscope = "user"\nusd = -1', "not an amount"),
        ('[[alert]]\nscope = "user"\nusd = 0', "usd:"),
        ('[[alert]]\nscope = "user"\njump = 1', "jump:"),
        ('[[alert]]\nscope = "user"\njump = nan', "jump:"),
        ('[[alert]]\nscope = "user"\nusd = 1\nwindow = "1w"', "window:"),
        ('[[alert]]\nscope = "user"\nusd = 1\nwindow = "2d"', "window:"),
        ('[[alert]]\nscope = "user"\nusd = 1\n\n[[alert]]\nscope = "user"\nusd = 1\nper = "hour"', "alert[1]"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_named_with_what_is_wrong(text: str, names: str) -> None:
    with pytest.raises(CallboardError, match="alert") as found:
        parse(text)
    assert found.value.code == "invalid_request"
    assert names in found.value.detail.replace("$.", "")


def test_rules_come_from_the_file_that_is_named_else_from_the_data_folder_else_are_the_usual_ones(
    tmp_path: Path,
) -> None:
    assert read("", tmp_path) == rules.USUAL
    assert read("off", tmp_path) == ()
    (tmp_path / "alerts.toml").write_text('[[alert]]\nscope = "tenant"\nusd = 5\nwindow = "1d"\n')
    assert read("", tmp_path) == (Rule(scope="tenant", minutes=DAY_MINUTES, limit=5 * DOLLAR),)
    with pytest.raises(CallboardError, match=r"other\.toml"):
        read(str(tmp_path / "other.toml"), tmp_path)


async def notices(bus: Bus) -> list[notice.Spend]:
    """Return the notices that are stored."""
    found = reader.scan(bus, layout.NOTICES, subjects.notice("default", "spend"))
    return [wire.decode(message.body, notice.Spend) async for message in found]


async def write(bus: Bus, number: int, cost: int) -> None:
    submit = Submit(id=run_id(number), objective="Spend.", principal="ada")
    await Play(BusSink(bus)).write(run_id(number), submit=submit, costs=Costs(model=cost), skill="totals")


async def test_people_hear_once_however_often_the_ledger_starts_or_begins_anew(
    bus: Bus, ledger: Ledger, tmp_path: Path
) -> None:
    for folder in ("data", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "alerts.toml").write_text(EACH_TREE)
    await write(bus, 1, 300)
    async with ledger():
        await write(bus, 2, 700)
        await eventually(lambda: _said(bus, 1))
        told = (await ask(bus, "alerts"))["alerts"]
    first = (await notices(bus))[0]
    assert (first.scope, first.key, first.spent_micro_usd) == ("tree", run_id(2), 1400)
    assert abs(first.at_ms - time.time() * 1000) < 120_000
    assert [one["id"] for one in told] == [first.id]
    async with ledger():
        await write(bus, 3, 900)
        await eventually(lambda: _said(bus, 2))
    assert {one.key for one in await notices(bus)} == {run_id(2), run_id(3)}
    (tmp_path / "data" / "ledger.db").unlink()
    async with ledger(), ledger(data="other"):
        await eventually(lambda: _said(bus, 6))
    ids = {one.id for one in await notices(bus)}
    assert len(ids) == 2  # whoever posts them knows them by it


async def _said(bus: Bus, count: int) -> bool:
    return len(await notices(bus)) >= count


async def test_a_ledger_that_catches_up_does_not_tell_of_what_is_long_past(
    bus: Bus, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "alerts.toml").write_text(EACH_TREE)
    monkeypatch.setattr("callboard_services.ledger.alerts.watch.DAY_MINUTES", -2)  # everything is long past
    await write(bus, 1, 900)
    async with ledger():
        await eventually(lambda: _told_cost(bus, 1800))
        await asyncio.sleep(1.2)  # two rounds
        assert (await ask(bus, "alerts"))["alerts"] == []
    assert await notices(bus) == []


async def _told_cost(bus: Bus, amount: int) -> bool:
    return bool((await ask(bus, "cost"))["totals"]["cost_micro_usd"] == amount)


async def test_a_file_of_rules_that_cannot_be_read_stops_the_ledger_with_its_name(
    ledger: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "alerts.toml").write_text("nonsense")
    with pytest.raises(CallboardError, match=r"alerts\.toml"):
        async with ledger():
            pass


def test_a_notice_says_what_its_schema_says(store: Store) -> None:
    spend(store, (0, DOLLAR))
    found = judge(store, Rule(scope="user", limit=1), now_of("user", "ada"))
    assert found is not None
    assert msgspec.json.decode(wire.encode(found), type=notice.Spend) == found
