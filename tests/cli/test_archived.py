"""On the command line an archived run is told as before, and says that it is archived. With users and permissions."""

import json
from pathlib import Path

import pytest
from tests.cli.test_end_to_end import ANY, SCRIPT, callboard, last_json

pytestmark = pytest.mark.slow
SAID = "archived: told from the ledger's files"


def test_an_archived_run_is_shown_as_before(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps(SCRIPT))
    data = str(tmp_path / "data")
    told = callboard("run", "Calculate.", "--contract", ANY, "--data", data, "--model", f"scripted:{script}", "--json")
    run = last_json(told)["run"]
    before = callboard("runs", "show", run, "--data", data)
    assert SAID not in before.stderr.splitlines()
    found: dict[str, object] = {}
    for _ in range(20):
        found = last_json(callboard("runs", "ls", "--data", data, "--json", CALLBOARD_RETENTION_S="0.05"))
        if found["archived"]:
            break
    assert found["archived"]
    assert "completed archived" in callboard("runs", "ls", "--data", data).stdout
    after = callboard("runs", "show", run, "--data", data)
    assert after.stdout == before.stdout
    assert [line for line in after.stderr.splitlines() if line != SAID] == before.stderr.splitlines()
    assert SAID in after.stderr.splitlines()
