"""Rules come in force over HTTP: checked as a file is, and by operators alone where there are keys."""

from pathlib import Path

from callboard import keys
from tests.gateway.conftest import site_on

RULE = {"name": "large", "tool": ["pay"], "when": {"properties": {"n": {"minimum": 50}}}}


async def test_a_policy_is_put_in_force_and_shown_and_an_empty_one_takes_it_back(
    fresh_broker: str, tmp_path: Path
) -> None:
    async with site_on(fresh_broker, tmp_path / "data") as site:
        put = await site.http.put("/v1/policies/house", json={"rules": [RULE]})
        assert (put.status_code, put.json()["rules"]) == (200, 1)
        (found,) = (await site.http.get("/v1/policies")).json()["policies"]
        assert (found["name"], found["digest"]) == ("house", put.json()["digest"])
        assert found["rules"][0] | RULE == found["rules"][0]
        assert (found["rules"][0]["quorum"], found["rules"][0]["expires_s"]) == (1, 604_800.0)
        removed, none = [(await site.http.put("/v1/policies/house", json={"rules": []})).json() for _ in range(2)]
        assert (put.json()["replaced"], removed["replaced"], none["replaced"]) == (0, 1, 0)
        assert (await site.http.get("/v1/policies")).json()["policies"][0]["rules"] == []


WRONG = (
    ("house", b"{", "invalid_json", ""),
    ("house", b"{}", "invalid_policy", "rules"),
    ("house", b'{"rules":[{"name":"a","quorom":1}]}', "invalid_policy", "quorom"),
    ("house", b'{"rules":[{"name":"a","quorum":0}]}', "invalid_policy", 'rule 1 "a": quorum is at least 1'),
    ("house", b'{"rules":[{"name":"a","when":{"type":"colour"}}]}', "invalid_policy", "when: "),
    ("A.b", b'{"rules":[]}', "invalid_policy", "cannot be a policy's name"),
)


async def test_what_cannot_be_used_is_refused_with_the_rule(fresh_broker: str, tmp_path: Path) -> None:
    async with site_on(fresh_broker, tmp_path / "data") as site:
        for name, body, code, told in WRONG:
            answer = await site.http.put(f"/v1/policies/{name}", content=body)
            assert (answer.status_code, answer.json()["code"]) == (400, code)
            assert told in answer.json()["detail"]
        assert (await site.http.get("/v1/policies")).json()["policies"] == []


async def test_where_there_are_keys_only_an_operators_changes_the_rules(fresh_broker: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    anybody, operator = keys.add(data, "ann"), keys.add(data, "olga", ("operators",))
    async with site_on(fresh_broker, data) as site:
        for key, status in ((anybody, 403), (operator, 200)):
            headers = {"Authorization": f"Bearer {key}"}
            answer = await site.http.put("/v1/policies/house", json={"rules": [RULE]}, headers=headers)
            assert answer.status_code == status
            assert (await site.http.get("/v1/policies", headers=headers)).status_code == 200


async def test_a_skill_is_deployed_with_rules_that_are_checked(fresh_broker: str, tmp_path: Path) -> None:
    async with site_on(fresh_broker, tmp_path / "data") as site:
        body = {"description": "d", "prompt": "p", "rules": [RULE]}
        assert (await site.http.put("/v1/skills/bills", json=body)).status_code == 200
        wrong = await site.http.put("/v1/skills/bills", json=body | {"rules": [RULE | {"quorum": 0}]})
        assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_skill")
        assert "quorum is at least 1" in wrong.json()["detail"]
