"""Rows found without SQL: by name, and by the end of a column."""

from pathlib import Path

import pytest

from callboard.tools import ToolError
from callboard_services.tools.builtin._tables import Tables
from callboard_services.tools.builtin.table_lookup import looked_up, table_lookup
from callboard_services.tools.builtin.table_rank import first_ranked, table_rank

pytest.importorskip("duckdb")


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    (tmp_path / "huts.csv").write_text("hut,beds,opened\nO'Hara Hut,12,1931\nMoor Hut,40,\nFen Hut,40,1950\n")
    return Tables(str(tmp_path), {"huts": tmp_path / "huts.csv"}, 10.0)


def test_a_row_is_found_by_its_name_letter_case_aside(tables: Tables) -> None:
    assert looked_up(tables, "Huts", " o'hara HUT ").rows == [{"hut": "O'Hara Hut", "beds": 12, "opened": 1931}]


def test_a_name_that_is_not_there_is_an_error_that_names_the_column(tables: Tables) -> None:
    with pytest.raises(ToolError, match="no row of huts has 'Hut' in its first column, hut"):
        looked_up(tables, "huts", "Hut")


def test_a_name_is_never_read_as_sql(tables: Tables) -> None:
    with pytest.raises(ToolError, match="no row of huts"):
        looked_up(tables, "huts", "' OR 1=1 --")


def test_a_table_that_is_not_there_is_an_error_that_names_those_that_are(tables: Tables) -> None:
    with pytest.raises(ToolError, match="the tables are: huts"):
        looked_up(tables, "trails", "Moor Hut")


def test_rows_that_share_the_end_of_a_column_are_all_returned(tables: Tables) -> None:
    assert [row["hut"] for row in first_ranked(tables, "huts", "beds", "highest").rows] == ["Moor Hut", "Fen Hut"]
    assert [row["hut"] for row in first_ranked(tables, "huts", "BEDS", "lowest").rows] == ["O'Hara Hut"]


def test_a_row_without_a_value_has_no_rank(tables: Tables) -> None:
    assert [row["hut"] for row in first_ranked(tables, "huts", "opened", "lowest").rows] == ["O'Hara Hut"]


def test_a_column_that_is_not_there_is_an_error_that_names_those_that_are(tables: Tables) -> None:
    with pytest.raises(ToolError, match="its columns are: hut, beds, opened"):
        first_ranked(tables, "huts", "showers", "highest")


def test_their_tables_are_named_by_table_describe() -> None:
    """The local model's router reads it there; other models are helped by it too."""
    for one in (table_lookup, table_rank):
        assert "table.describe" in one.spec.input_schema["properties"]["table"]["description"]
