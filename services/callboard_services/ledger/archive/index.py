"""Which trees are due, which are in which file, and what of them is still to be purged: in the ledger's database."""

from collections.abc import Iterable

import msgspec

from callboard_services.ledger.archive.parquet import Entry
from callboard_services.ledger.store import Store
from callboard_services.ledger.tables import TREE, Row

Tree = tuple[str, str]
"""A tenant and one of its trees."""

_DUE = """
WITH RECURSIVE needed (tenant, run) AS (
    SELECT tenant, retry_of FROM runs WHERE retry_of IS NOT NULL AND ended_ms IS NULL
    UNION SELECT runs.tenant, runs.retry_of FROM runs JOIN needed USING (tenant, run) WHERE runs.retry_of IS NOT NULL)
SELECT tenant, tree, closed_ms FROM runs AS root
WHERE closed_ms IS NOT NULL AND archived IS NULL AND closed_ms <= ?
AND NOT EXISTS (SELECT 1 FROM runs WHERE tenant = root.tenant AND tree = root.tree AND ended_ms IS NULL)
AND NOT EXISTS (SELECT 1 FROM needed JOIN runs USING (tenant, run) WHERE tenant = root.tenant AND tree = root.tree)
ORDER BY closed_ms LIMIT ?"""
"""Closed long enough ago, none of its runs goes on, and no run that goes on reads one of them, as a retry does."""

_PUT_TREE = f"INSERT OR REPLACE INTO trees VALUES ({', '.join(f':{column}' for column in TREE)})"  # noqa: S608 - our own names
_PUT_FILE = "INSERT OR REPLACE INTO files VALUES (?, ?)"
_MARK = "UPDATE runs SET archived = ? WHERE tenant = ? AND tree = ?"


def due(store: Store, until_ms: int, most: int) -> list[tuple[str, str, int]]:
    """Return tenant, tree and closing time of what closed until then and can be archived, the oldest first."""
    return [(row["tenant"], row["tree"], row["closed_ms"]) for row in store.select(_DUE, (until_ms, most))]


def commit(store: Store, file: str, entries: Iterable[Entry], *, folded: bool) -> None:
    """Enter a file with its trees: from now on they are archived. `folded`: the tables hold them already."""
    found = list(entries)
    trees = [_row(file, entry) for entry in found]
    marks = [(1, entry.tenant, entry.tree) for entry in found]
    store.change((_PUT_TREE, trees), (_PUT_FILE, [(file, int(folded))]), (_MARK, marks))


def leave(store: Store, trees: Iterable[Tree]) -> None:
    """Never look at trees again: they are not whole any more."""
    store.change((_MARK, [(0, *tree) for tree in trees]))


def known(store: Store) -> set[str]:
    """Return the names of all files that are entered."""
    return {row["file"] for row in store.select("SELECT file FROM files")}


def unfolded(store: Store) -> list[str]:
    """Return the files whose trees the tables do not hold, oldest first: of what is told twice the later is right."""
    return [row["file"] for row in store.select("SELECT file FROM files WHERE folded = 0 ORDER BY file")]


def to_purge(store: Store, stream: str, created: str, most: int) -> list[Entry]:
    """Return archived trees whose messages may still be in a stream."""
    query = "SELECT * FROM trees WHERE purged = 0 AND stream = ? AND created = ? LIMIT ?"
    return [_entry(row) for row in store.select(query, (stream, created, most))]


def purged(store: Store, tree: Tree) -> None:
    """Note that a tree has left the journal."""
    store.change(("UPDATE trees SET purged = 1 WHERE tenant = ? AND tree = ?", [tree]))


def find(store: Store, tenant: str, tree: str) -> tuple[str, Entry] | None:
    """Return the file of an archived tree, and where in it."""
    found = store.select("SELECT * FROM trees WHERE tenant = ? AND tree = ?", (tenant, tree))
    return (found[0]["file"], _entry(found[0])) if found else None


def through(store: Store, stream: str, created: str) -> int:
    """Return the highest sequence of a stream that is in the archive."""
    rows = store.select("SELECT max(last_seq) AS seq FROM trees WHERE stream = ? AND created = ?", (stream, created))
    return rows[0]["seq"] or 0


def archived(store: Store, stream: str, created: str, trees: Iterable[Tree]) -> dict[Tree, int]:
    """Return up to which sequence each of these trees is in the archive."""
    query = "SELECT last_seq FROM trees WHERE tenant = ? AND tree = ? AND stream = ? AND created = ?"
    found = {tree: store.select(query, (*tree, stream, created)) for tree in trees}
    return {tree: rows[0]["last_seq"] for tree, rows in found.items() if rows}


def _row(file: str, entry: Entry) -> Row:
    row = msgspec.structs.asdict(entry) | {"file": file, "purged": 0}
    return row | {"purges": msgspec.json.encode(entry.purges).decode()}


def _entry(row: Row) -> Entry:
    kept = {name: row[name] for name in Entry.__struct_fields__}
    return Entry(**(kept | {"purges": msgspec.json.decode(row["purges"])}))
