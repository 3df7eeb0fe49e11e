"""Sealing: the calls of a tree that is over are added to the sums by day, once, and taken out again if it changes.

Invariant: at every commit, a tree is either in `unsealed` and in no sum, or sealed and in every sum with exactly what
its calls say. What is asked is therefore *the sums, and the calls of unsealed trees*, and equals the calls of all.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from callboard_services.ledger.schema import ROLLUPS
from callboard_services.ledger.tables import SUMS

Tree = tuple[str, str]
"""A tenant and one of its trees."""

_ADDED = ", ".join(f"SUM({name})" for name in SUMS)
_OF_RUN = ", ".join(f"{name} = COALESCE(part.{name}, 0)" for name in SUMS)
_PART = """CREATE TEMP TABLE IF NOT EXISTS chosen (tenant, tree, PRIMARY KEY (tenant, tree));
CREATE TEMP TABLE IF NOT EXISTS part (tenant, tree, run, day, status, user, skill, depth, tool, model, {sums});"""
_GATHER = f"""INSERT INTO part SELECT tenant, tree, run, day, status, user, skill, depth, tool, model, {_ADDED}
    FROM chosen CROSS JOIN facts USING (tenant, tree) GROUP BY tenant, tree, run, day, tool, model"""  # noqa: S608
_MARK = f"""UPDATE runs SET {", ".join(f"{name} = 0" for name in SUMS)}, tree_cost = 0,
    sealed = CASE WHEN run = tree THEN 1 END WHERE (tenant, tree) IN (SELECT tenant, tree FROM chosen)"""  # noqa: S608
_UNMARK = """UPDATE runs SET sealed = NULL, cost = NULL, tree_cost = NULL
    WHERE (tenant, tree) IN (SELECT tenant, tree FROM chosen)"""
_NAMED = ", ".join(f"SUM({name}) AS {name}" for name in SUMS)
_SUM_RUNS = f"""UPDATE runs SET {_OF_RUN} FROM (SELECT tenant, run, {_NAMED}
    FROM part GROUP BY tenant, run) AS part WHERE runs.tenant = part.tenant AND runs.run = part.run"""  # noqa: S608
_SUM_TREES = """UPDATE runs SET tree_cost = part.cost FROM (SELECT tenant, tree, SUM(cost) AS cost FROM part
    GROUP BY tenant, tree) AS part WHERE runs.tenant = part.tenant AND runs.run = part.tree"""
_TO_SEAL = """SELECT tenant, run FROM runs WHERE run = tree AND sealed IS NULL
    AND (closed_ms IS NOT NULL OR status = 'refused') ORDER BY ended_ms LIMIT ?"""


def prepare(connection: sqlite3.Connection) -> None:
    """Make the working tables of a connection."""
    connection.executescript(_PART.format(sums=", ".join(SUMS)))


def _booking(rollup: str, sign: str) -> str:
    keys = ", ".join(("tenant", *ROLLUPS[rollup]))
    changes = ", ".join(f"{name} = {name} {sign} excluded.{name}" for name in SUMS)
    return f"""INSERT INTO {rollup} SELECT {keys}, {_ADDED} FROM part WHERE true GROUP BY {keys}
        ON CONFLICT DO UPDATE SET {changes}"""  # noqa: S608 - our own names


_ADD = tuple(_booking(rollup, "+") for rollup in ROLLUPS)
_TAKE_OUT = tuple(_booking(rollup, "-") for rollup in ROLLUPS)


def due(connection: sqlite3.Connection, most: int) -> list[Tree]:
    """Return trees that are over and not sealed."""
    return [(tenant, tree) for tenant, tree in connection.execute(_TO_SEAL, (most,))]


def seal(transaction: sqlite3.Connection, trees: Sequence[Tree]) -> None:
    """Add what unsealed trees' calls say to the sums; their runs know what they cost from now on."""
    _gather(transaction, trees)
    for statement in (*_ADD, _MARK, _SUM_RUNS, _SUM_TREES):
        transaction.execute(statement)
    transaction.executemany("DELETE FROM unsealed WHERE tenant = ? AND tree = ?", trees)


def unseal(transaction: sqlite3.Connection, trees: Sequence[Tree]) -> None:
    """Take sealed trees out of the sums again, before any of their rows is changed."""
    _gather(transaction, trees)
    for statement in _TAKE_OUT:
        transaction.execute(statement)
    transaction.execute(_UNMARK)


def touched(transaction: sqlite3.Connection, trees: Iterable[Tree]) -> None:
    """Note trees that are about to change: those that are sealed are no more."""
    every = list(trees)
    query = "SELECT 1 FROM runs WHERE tenant = ? AND run = ? AND sealed = 1"
    if sealed := [tree for tree in every if transaction.execute(query, tree).fetchone()]:
        unseal(transaction, sealed)
    transaction.executemany("INSERT OR IGNORE INTO unsealed VALUES (?, ?)", every)


def _gather(transaction: sqlite3.Connection, trees: Sequence[Tree]) -> None:
    transaction.execute("DELETE FROM chosen")
    transaction.execute("DELETE FROM part")
    transaction.executemany("INSERT INTO chosen VALUES (?, ?)", trees)
    transaction.execute(_GATHER)
