"""`callboard cost` with a whole system behind it: what it tells is what the runs cost, and alerts reach a webhook."""

import csv
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pyarrow.parquet as pq
import pytest
from standardwebhooks import Webhook
from tests.cli.test_end_to_end import ANY, CLEAN, callboard, last_json, up

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SCRIPT: dict[str, Any] = {
    "runs": [{"match": "[impossible]", "steps": [{"give_up": "there is no such thing"}]}],
    "steps": [
        {"asks": [{"tool": "calc", "arguments": {"expression": "6*7"}}]},
        {"output": {"answer": 42}},
    ],
}


@contextmanager
def hook() -> Iterator[tuple[str, "Queue[dict[str, Any]]"]]:
    """Listen for webhooks, and put those whose signature is right."""
    taken: Queue[dict[str, Any]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            taken.put(Webhook(SECRET).verify(body, dict(self.headers)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", taken
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def spent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[dict[str, Any]], dict[str, Any]]]:
    """Run three goals with a priced model; yield the data folder, how they ended, and the first webhook."""
    folder = tmp_path_factory.mktemp("cost")
    script, data = folder / "script.json", folder / "data"
    data.mkdir()
    script.write_text(json.dumps(SCRIPT))
    prices = folder / "prices.json"
    prices.write_text(json.dumps({f"scripted:{script}": {"input": 2, "output": 5}}))
    (data / "alerts.toml").write_text('[[alert]]\nscope = "tree"\nusd = 0.0001\nwindow = "1h"\n')
    with hook() as (url, taken):
        (data / "webhooks.toml").write_text(
            f'[[webhook]]\nname = "ops"\nurl = "{url}"\nsecret = "{SECRET}"\nkinds = ["spend"]\n'
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(CLEAN, "CALLBOARD_PRICES", str(prices))
            with up(data, "--model", f"scripted:{script}"):
                ended = [run(data, "Multiply.", "--tag", "customer:acme"), run(data, "Multiply more.")]
                ended.append(run(data, "[impossible] Divide."))
                yield data, ended, taken.get(timeout=20)


def run(data: Path, goal: str, *tokens: str) -> dict[str, Any]:
    return last_json(callboard("run", goal, "--contract", ANY, "--json", "--data", str(data), *tokens))


def cost(data: Path, *tokens: str) -> dict[str, Any]:
    return last_json(callboard("cost", "--json", "--data", str(data), *tokens))


Spent = tuple[Path, list[dict[str, Any]], dict[str, Any]]


def test_totals_are_what_the_runs_told_when_they_ended_and_the_failed_one_is_billed_nothing(spent: Spent) -> None:
    data, ended, _ = spent
    amounts = {one["run"]: round(one["cost_usd"] * 1_000_000) for one in ended}
    assert all(amounts.values())
    found = cost(data, "--by", "run")
    assert {row["run"]: row["cost_micro_usd"] for row in found["rows"]} == amounts
    assert found["totals"]["cost_micro_usd"] == sum(amounts.values())
    statuses = {row["status"]: row["billed_micro_usd"] for row in cost(data, "--by", "status")["rows"]}
    assert statuses == {"completed": sum(list(amounts.values())[:2]), "unachievable": 0}


def test_a_call_is_charged_at_the_price_that_is_told_for_its_model(spent: Spent) -> None:
    data, ended, _ = spent
    (price,) = last_json(callboard("cost", "--prices", "--json", "--data", str(data)))["prices"]
    shown = last_json(callboard("runs", "show", ended[0]["run"], "--json", "--data", str(data)))
    asked = [one for one in shown["breakdown"] if one["tool"] == "model"]
    assert asked
    for one in asked:
        assert one["price"] == [price["input"], price["output"]] == [2_000_000, 5_000_000]
        assert one["cost_micro_usd"] == 2 * one["input_tokens"] + 5 * one["output_tokens"]
    assert sum(one["cost_micro_usd"] for one in shown["breakdown"]) == shown["totals"]["cost_micro_usd"]


def test_people_read_a_table_with_a_bar_and_its_total(spent: Spent) -> None:
    data, _, _ = spent
    said = callboard("cost", "--by", "tool,model", "--data", str(data))
    lines = said.stdout.splitlines()
    assert (said.returncode, len(lines)) == (0, 4), said.stdout
    assert lines[0].split() == ["TOOL", "MODEL", "COST", "BILLED", "CALLS", "TOKENS", "IN", "TOKENS", "OUT"]
    assert ("model" in lines[1], "█" * 20 in lines[1], "█" in lines[2]) == (True, True, False)
    assert lines[3].split()[0] == "total"
    none = callboard("cost", "--skill", "no-such", "--since", "1h", "--data", str(data))
    assert none.stdout == "No call fits --since 1h --skill no-such.\n"


def test_a_file_holds_the_same_rows_as_csv_and_as_parquet(spent: Spent, tmp_path: Path) -> None:
    data, _, _ = spent
    for name in ("cost.csv", "cost.parquet"):
        said = callboard("cost", "--by", "day,agent,tool", "--export", str(tmp_path / name), "--data", str(data))
        assert said.returncode == 0, said.stderr
    with (tmp_path / "cost.csv").open() as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(tmp_path / "cost.parquet").to_pylist()
    assert [{name: str(value) for name, value in row.items()} for row in table] == rows
    assert sum(row["cost_micro_usd"] for row in table) == cost(data)["totals"]["cost_micro_usd"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cost.csv", "cost.parquet"]


def test_spending_above_a_declared_amount_reaches_a_signed_webhook_and_the_list_of_alerts(spent: Spent) -> None:
    data, ended, told = spent
    alerts = last_json(callboard("cost", "--alerts", "--json", "--data", str(data)))["alerts"]
    said = told.get("data", told)
    assert said["id"] in {one["id"] for one in alerts}
    assert said["key"] in {one["run"] for one in ended}
    assert (said["scope"], said["threshold_micro_usd"]) == ("tree", 100)
    assert said["spent_micro_usd"] >= 100
    assert "within 60 min" in said["reason"]


def test_runs_of_all_times_are_found_by_label_cost_and_how_they_ended(spent: Spent) -> None:
    data, ended, _ = spent

    def found(*tokens: str) -> list[str]:
        said = callboard("runs", "ls", "--json", "--data", str(data), *tokens)
        assert said.returncode == 0, said.stderr
        return [json.loads(line)["run"] for line in said.stdout.splitlines()]

    first, second, failed = (one["run"] for one in ended)
    assert found("--tag", "customer:acme") == [first]
    assert found("--status", "completed", "--since", "1h", "--min-cost", "0.0001") == [second, first]
    assert found("--max-cost", "1", "--before", failed, "--limit", "1") == [second]
    assert cost(data, "--by", "tree", "--tag", "customer")["rows"][0]["tree"] == first
    assert callboard("runs", "ls", "--user", "nobody", "--data", str(data)).stdout == "No run fits --user nobody.\n"


@pytest.mark.parametrize(
    ("tokens", "named"),
    [
        (("--by", "bogus"), "by: 'bogus'"),
        (("--since", "soon"), "since 'soon'"),
        (("--run", "01ZZ"), "01ZZ"),
        (("--export", "cost.xlsx"), "cost.xlsx"),
        (("--export", "no-such-folder/cost.csv"), "no-such-folder"),
    ],
)
def test_what_cannot_be_meant_is_named_in_one_sentence(spent: Spent, tokens: tuple[str, ...], named: str) -> None:
    said = callboard("cost", "--data", str(spent[0]), *tokens)
    assert (said.returncode, said.stdout) == (2, "")
    assert named in said.stderr.splitlines()[0]
    assert len(said.stderr.splitlines()) == 2
