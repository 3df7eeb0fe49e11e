"""The tables' definition in SQLite.

`runs` and `calls` are what records say. `by_work`, `by_person` and `by_both` are sums of the calls of trees that are
*sealed*: each over a day and some dimensions, so that asking for a year looks at thousands of rows, not at millions.
`unsealed` names the other trees, whose calls are added up when somebody asks ([sealing.py](sealing.py)).
"""

from callboard_services.ledger import approvals
from callboard_services.ledger.tables import CALL, CALL_KEY, RUN, RUN_KEY, SUMS, TREE, TREE_KEY

FORMAT = 5
"""Raise it when the tables change: they are then built anew, from the archive and the journal."""

DAY_MS = 86_400_000
BEGAN = "COALESCE(accepted_ms, 0)"
"""By which runs are listed. Of a run of which only the end is known, nobody knows when it began."""
ROLLUPS = {
    "by_work": ("day", "status", "skill", "depth", "tool", "model"),
    "by_person": ("day", "status", "user", "skill", "depth"),
    "by_both": ("day", "status", "user", "tool", "model"),
}
"""By which dimensions the calls of sealed trees are summed up. Days are UTC's, counted from 1970."""
FOLDED = ("runs", "calls", "tags", "prices", "spend", "unsealed", *ROLLUPS, *approvals.TABLES)
"""What comes from the records alone, and is built anew from them."""


def _table(name: str, columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    """Columns have no type of their own: SQLite keeps what a fold gave, an integer as an integer."""
    return f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(columns)}, PRIMARY KEY ({', '.join(key)})) WITHOUT ROWID;"


def _rollup(name: str) -> str:
    key = ("tenant", *ROLLUPS[name])
    return _table(name, (*key, *SUMS), key)


def _history(name: str, columns: str) -> str:
    """An index by which roots are listed, newest first."""
    return f"CREATE INDEX IF NOT EXISTS {name} ON runs (tenant, {columns}, run) WHERE run = tree;"


SCHEMA = f"""
{_table("runs", (*RUN, "sealed", "tree_cost", *SUMS), RUN_KEY)}
{_table("calls", CALL, CALL_KEY)}
CREATE TABLE IF NOT EXISTS positions (stream TEXT PRIMARY KEY, created TEXT, seq INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_tree ON runs (tenant, tree);
CREATE INDEX IF NOT EXISTS calls_by_tree ON calls (tenant, tree, run);
CREATE INDEX IF NOT EXISTS calls_by_time ON calls (tenant, asked_ms);
CREATE INDEX IF NOT EXISTS runs_by_time ON runs (tenant, {BEGAN}, run);
{_history("roots_by_time", BEGAN)}
{_history("roots_by_status", f"status, {BEGAN}")}
{_history("roots_by_skill", f"skill, {BEGAN}")}
{_history("roots_by_user", f"principal, {BEGAN}")}
CREATE INDEX IF NOT EXISTS runs_by_cost ON runs (tenant, cost) WHERE cost IS NOT NULL;
CREATE INDEX IF NOT EXISTS roots_by_cost ON runs (tenant, tree_cost) WHERE run = tree AND sealed = 1;
CREATE INDEX IF NOT EXISTS runs_to_archive ON runs (closed_ms) WHERE closed_ms IS NOT NULL AND archived IS NULL;
CREATE INDEX IF NOT EXISTS runs_to_seal ON runs (ended_ms)
    WHERE run = tree AND sealed IS NULL AND (closed_ms IS NOT NULL OR status = 'refused');
CREATE INDEX IF NOT EXISTS retries_that_go_on ON runs (tenant, retry_of)
    WHERE retry_of IS NOT NULL AND ended_ms IS NULL;
{_table("tags", ("tenant", "tag", "began", "run"), ("tenant", "tag", "began", "run"))}
{_table("prices", ("tenant", "model", "input", "output", "since_ms"), ("tenant", "model", "input", "output"))}
{_table("spend", ("tenant", "scope", "key", "minute", "cost"), ("tenant", "scope", "key", "minute"))}
{_table("unsealed", ("tenant", "tree"), ("tenant", "tree"))}
{"".join(map(_rollup, ROLLUPS))}
{approvals.SCHEMA}
{_table("trees", TREE, TREE_KEY)}
CREATE INDEX IF NOT EXISTS trees_by_seq ON trees (stream, created, last_seq);
CREATE INDEX IF NOT EXISTS trees_to_purge ON trees (stream, created) WHERE purged = 0;
CREATE TABLE IF NOT EXISTS files (file TEXT PRIMARY KEY, folded) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alerts (id TEXT PRIMARY KEY, tenant, rule, scope, key, at_ms, body, told) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS costs AS SELECT *, CASE COALESCE(settled, told, taken, 0)
    WHEN -1 THEN COALESCE(reserved, 0) ELSE COALESCE(settled, told, taken, 0) END AS cost FROM calls;
CREATE VIEW IF NOT EXISTS facts AS SELECT one.tenant AS tenant, one.call AS call, one.run AS run, one.tree AS tree,
    one.asked_ms AS asked_ms, COALESCE(one.asked_ms / {DAY_MS}, 0) AS day,
    COALESCE(root.status, '') AS status, COALESCE(root.principal, '') AS user, COALESCE(own.skill, '') AS skill,
    (LENGTH(one.run) - LENGTH(REPLACE(one.run, '-', ''))) / 2 AS depth, COALESCE(one.tool, '') AS tool,
    COALESCE(NULLIF(one.model, ''), CASE one.tool WHEN 'model' THEN own.model END, '') AS model,
    1 AS calls, one.cost AS cost, COALESCE(one.input_tokens, 0) AS input_tokens,
    COALESCE(one.output_tokens, 0) AS output_tokens, COALESCE(one.unpriced, 0) AS unpriced,
    CASE WHEN one.unpriced THEN COALESCE(one.input_tokens, 0) + COALESCE(one.output_tokens, 0) ELSE 0 END
        AS unpriced_tokens,
    {{estimated}} AS estimated, CASE WHEN {{estimated}} THEN one.cost ELSE 0 END AS estimated_cost
    FROM costs AS one
    LEFT JOIN runs AS own ON own.tenant = one.tenant AND own.run = one.run
    LEFT JOIN runs AS root ON root.tenant = one.tenant AND root.run = one.tree;
""".replace("{estimated}", "(COALESCE(one.estimated, 0) OR (one.taken IS NULL AND one.cost > 0))")  # noqa: S608
"""`facts` are calls with all their dimensions: the user and the status are those of the tree's root, the skill is the
run's own. Of what never answered, all that is charged was estimated."""
