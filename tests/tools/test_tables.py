"""SQL over a run's tables, and over nothing else."""

import math
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from callboard.bus import Bus, objects
from callboard.tools import ToolContext, ToolError
from callboard_contracts import call, guard
from callboard_services.tools.builtin import files_list, files_read, files_write, table_describe, table_query
from callboard_services.tools.builtin._tables import Tables, table_names
from callboard_services.tools.builtin._values import plain
from callboard_services.tools.builtin.table_query import MAX_RESULT_BYTES, Rows, query

duckdb = pytest.importorskip("duckdb")

TREE = "01M7Z5P844PGCBRBGFXRX0T612"
SALES = "region,amount,day\nnorth,1.25,2026-01-02\nsouth,3,2026-01-03\nnorth,0.10,2026-02-01\n"


@pytest.fixture
async def context(bus: Bus) -> ToolContext:
    await objects.put_file(bus, TREE, "data/sales.csv", SALES.encode())
    asked = call.Call(id=f"{TREE}-1-0", tool="table.query")
    granted = guard.Granted(call=asked, source=1, expires_ms=2**53)
    return ToolContext(bus, "acme", granted, timeout_s=30)


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return _tables(tmp_path)


def _tables(folder: Path, limit_s: float = 10.0, **files: str) -> Tables:
    views = {}
    for name, text in {"sales": SALES, **files}.items():
        views[name] = folder / f"{name}.csv"
        views[name].write_text(text)
    return Tables(str(folder), views, limit_s)


async def test_a_query_reads_the_files_of_the_run(context: ToolContext) -> None:
    found = await table_query(context, "SELECT region, sum(amount) AS total FROM sales GROUP BY 1 ORDER BY 1")
    assert found == Rows(columns=["region", "total"], rows=[["north", 1.35], ["south", 3.0]])


async def test_tables_are_described_with_types_counts_and_a_sample(context: ToolContext) -> None:
    (table,) = await table_describe(context, sample=1)
    assert (table.name, table.rows) == ("sales", 3)
    assert [(column.name, column.type) for column in table.columns] == [
        ("region", "VARCHAR"),
        ("amount", "DOUBLE"),
        ("day", "DATE"),
    ]
    assert table.sample == [["north", 1.25, "2026-01-02"]]
    with pytest.raises(ToolError, match="the tables are: sales"):
        await table_describe(context, table="nothing")


async def test_parquet_is_a_table_too(context: ToolContext, bus: Bus, tmp_path: Path) -> None:
    target = tmp_path / "numbers.parquet"
    duckdb.sql(  # the path is a fixture's
        f"COPY (SELECT range AS n FROM range(1000)) TO '{target}' (FORMAT parquet)"  # noqa: S608
    )
    await objects.put_file(bus, TREE, "numbers.parquet", target.read_bytes())
    found = await table_query(context, "SELECT count(*), max(n) FROM numbers, sales")
    assert found.rows == [[3000, 999]]


async def test_a_run_without_tables_is_told_so(bus: Bus) -> None:
    asked = call.Call(id="01M7Z5P844PGCBRBGFXRX0T613-1-0", tool="table.query")
    alone = ToolContext(bus, "acme", guard.Granted(call=asked, source=1, expires_ms=2**53), timeout_s=30)
    with pytest.raises(ToolError, match="the run has no CSV or Parquet file"):
        await table_query(alone, "SELECT * FROM sales")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_csv('{outside}')",
        "SELECT * FROM read_csv('{folder}/../outside.csv')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_csv('http://127.0.0.1:1/a.csv')",
        "SELECT * FROM python_variable",
        "COPY sales TO '{outside}'",
        "ATTACH '{outside}' AS other",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "CREATE TABLE t (a INT)",
        "DROP VIEW sales",
        "DELETE FROM sales",
        "EXPORT DATABASE '{outside}'",
        "CALL pragma_version()",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW sales",
        "",
        "-- nothing",
    ],
)
def test_nothing_but_the_run_s_tables_can_be_reached(sql: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    outside = tmp_path / "outside.csv"
    outside.write_text("a\n1\n")
    python_variable = [1]  # noqa: F841 - DuckDB would find it here
    with pytest.raises(ToolError):
        query(_tables(folder), sql.format(outside=outside, folder=folder), 10)
    assert outside.read_text() == "a\n1\n"


def test_an_error_names_the_tables_and_their_columns(tables: Tables) -> None:
    for sql in ("SELECT nothing FROM sales", "SELECT * FROM sale", "SELEC 1"):
        with pytest.raises(ToolError) as caught:
            query(tables, sql, 10)
        assert "sales(region VARCHAR, amount DOUBLE, day DATE)" in str(caught.value)
        assert "Error" in str(caught.value)


def test_a_query_that_takes_too_long_is_interrupted(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ToolError, match=r"took longer than 0\.3 s"):
        query(_tables(tmp_path, limit_s=0.3), "SELECT count(*) FROM range(100000000) a, range(100000) b", 10)
    assert time.monotonic() - began < 5


def test_a_result_is_bounded_in_rows_and_bytes(tables: Tables) -> None:
    found = query(tables, "SELECT * FROM range(1000)", 10)
    assert (len(found.rows), found.truncated) == (10, True)
    assert not query(tables, "SELECT * FROM range(10)", 10).truncated
    large = query(tables, "SELECT repeat('x', 100000) FROM range(10)", 10)
    assert large.truncated
    assert len(msgspec.json.encode(large.rows)) <= MAX_RESULT_BYTES + 1000


def test_a_huge_result_is_not_fetched_whole(tables: Tables) -> None:
    began = time.monotonic()
    assert len(query(tables, "SELECT * FROM range(1000000000)", 10).rows) == 10
    assert time.monotonic() - began < 5


def test_a_file_that_is_no_table_is_told_with_its_name(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"no parquet")
    with pytest.raises(ToolError, match="the table broken cannot be read"):
        Tables(str(tmp_path), {"broken": broken}, 1.0)


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("0.1::DOUBLE + 0.2::DOUBLE", 0.3),
        ("1.10::DECIMAL(9,2)", 1.1),
        ("3.00::DECIMAL(9,2)", 3),
        ("12345678901234567890.12345::DECIMAL(38,5)", "12345678901234567890.12345"),
        ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727"),
        ("'nan'::DOUBLE", None),
        ("'inf'::DOUBLE", None),
        ("NULL", None),
        ("TRUE", True),
        ("DATE '2026-01-02'", "2026-01-02"),
        ("TIMESTAMP '2026-01-02 03:04:05'", "2026-01-02T03:04:05"),
        ("TIME '03:04:05'", "03:04:05"),
        ("INTERVAL 2 DAY", "2 days, 0:00:00"),
        ("'\\x00ff'::BLOB", "006666"),
        ("[1, 2.5]", [1, 2.5]),
        ("{'a': DATE '2026-01-02', 'b': [1]}", {"a": "2026-01-02", "b": [1]}),
        ("MAP {'k': 1}", {"k": 1}),
        ("uuid '01020304-0506-0708-090a-0b0c0d0e0f10'", "01020304-0506-0708-090a-0b0c0d0e0f10"),
    ],
)
def test_every_type_becomes_json_that_says_the_same(sql: str, value: Any, tables: Tables) -> None:
    found = query(tables, f"SELECT {sql}", 1).rows[0][0]
    assert found == value
    assert msgspec.json.decode(msgspec.json.encode(found)) == value


def test_a_decimal_keeps_its_digits() -> None:
    assert plain(Decimal("0.10")) == 0.1
    assert plain(Decimal("0.1234567890123456789")) == "0.1234567890123456789"
    assert plain(Decimal("NaN")) is None
    assert plain(math.nan) is None
    assert plain(2**60) == str(2**60)


def test_tables_are_named_by_stems_and_by_paths_where_those_collide() -> None:
    assert table_names(["data/Sales 2026.csv", "a/x.csv", "b/x.csv", "3.csv", "ü.csv", "x-y.csv", "x y.csv"]) == {
        "data/Sales 2026.csv": "sales_2026",
        "a/x.csv": "a_x_csv",
        "b/x.csv": "b_x_csv",
        "3.csv": "t_3",
        "ü.csv": "ü",
        "x-y.csv": "x_y_csv",
        "x y.csv": "x_y_csv_",
    }


async def test_text_files_are_listed_read_in_pieces_and_written(context: ToolContext) -> None:
    wrote = await files_write(context, "notes/a.md", "äöü" * 10)
    assert (wrote.path, wrote.bytes, wrote.source) == ("notes/a.md", 60, "run")
    listed = await files_list(context)
    assert [file.path for file in listed.files] == ["data/sales.csv", "notes/a.md"]
    assert [file.path for file in (await files_list(context, "notes/")).files] == ["notes/a.md"]
    piece = await files_read(context, "notes/a.md", offset=3, limit=3)
    assert (piece.text, piece.size, piece.truncated) == ("äöü", 30, True)
    assert not (await files_read(context, "notes/a.md", offset=27)).truncated
    assert (await files_read(context, "notes/a.md", offset=99)).text == ""


async def test_what_cannot_be_read_or_written_is_refused_in_words_that_help(context: ToolContext, bus: Bus) -> None:
    await objects.put_file(bus, TREE, "a.bin", b"\0\1\2")
    await objects.put_file(bus, TREE, "b.parquet", b"PAR1\xff\xfe")
    with pytest.raises(ToolError, match="not UTF-8 text but binary, 3 bytes"):
        await files_read(context, "a.bin")
    with pytest.raises(ToolError, match=r"use table\.query"):
        await files_read(context, "b.parquet")
    with pytest.raises(ToolError, match=r"the files are: .*data/sales\.csv"):
        await files_read(context, "sales.csv")
    for path in ("../a", "/etc/passwd", "a\0"):
        with pytest.raises(ToolError, match="the path"):
            await files_read(context, path)
        with pytest.raises(ToolError, match="the path"):
            await files_write(context, path, "x")
    with pytest.raises(ToolError, match="surrogate"):
        await files_write(context, "a.txt", "\ud800")
