"""A run's CSV and Parquet files as tables of an in-memory DuckDB that reaches nothing else.

Locked down after the views are made: no path but the call's own folder, no extension, no setting can be changed, no
Python variable is a table. Only statements that read are run.
"""

import re
import threading
from pathlib import Path, PurePosixPath
from typing import Any, Final

from callboard.tools import ToolError

MAX_FILES: Final = 64
MAX_BYTES: Final = 256 * 1024 * 1024
MAX_QUERY_S: Final = 30.0
SUFFIXES: Final = (".csv", ".tsv", ".parquet")
_SAFE: Final = 2**53


def table_names(paths: list[str]) -> dict[str, str]:
    """Return the table's name of each path: its stem as one word, or more of the path where stems are the same."""
    stems = [_word(PurePosixPath(path).stem) for path in paths]
    found: dict[str, str] = {}
    for path, stem in zip(paths, stems, strict=True):
        name = stem if stems.count(stem) == 1 else _word(path)
        while name in found.values():
            name += "_"
        found[path] = name
    return found


def _word(text: str) -> str:
    word = re.sub(r"\W+", "_", text).strip("_").lower() or "table"
    return f"t_{word}" if word[0].isdigit() else word


class Tables:
    """The tables of one call. Its methods block, and are run in a thread."""

    def __init__(self, folder: str, views: dict[str, Path], limit_s: float) -> None:
        try:
            import duckdb
        except ImportError:
            raise ToolError("tables need DuckDB, which is not installed: pip install callboard[tables]") from None
        self._errors = (duckdb.Error,)
        self._extract = duckdb.extract_statements
        self._limit_s = limit_s
        self._db = duckdb.connect(":memory:", config={"threads": 2, "memory_limit": "1GB"})
        self.names = tuple(views)
        self._open(folder, views)

    def _open(self, folder: str, views: dict[str, Path]) -> None:
        for name, file in views.items():
            reader = "read_parquet" if file.suffix == ".parquet" else "read_csv"
            try:
                view = f"SELECT * FROM {reader}('{file}')"  # noqa: S608 - a path of our own making
                self._db.execute(f"CREATE VIEW {quoted(name)} AS {view}")
            except self._errors as error:
                raise ToolError(f"the table {name} cannot be read: {_line(error)}") from None
        for setting in (
            "python_enable_replacements = false",
            "autoinstall_known_extensions = false",
            "autoload_known_extensions = false",
            "max_temp_directory_size = '0B'",
            f"allowed_directories = ['{folder}']",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            self._db.execute(f"SET {setting}")

    def interrupt(self) -> None:
        """Stop what is running, from another thread."""
        self._db.interrupt()

    def select(self, sql: str, most: int) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Run one reading statement; return its columns and at most `most` rows.

        :raises ToolError: it does not read, or cannot be run; with the tables that there are.
        """
        timer = threading.Timer(self._limit_s, self.interrupt)
        timer.start()
        try:
            self._check(sql)
            found = self._db.execute(sql)
            columns = tuple(column[0] for column in found.description or ())
            return columns, found.fetchmany(most)
        except self._errors as error:
            raise ToolError(self._explained(error)) from None
        finally:
            timer.cancel()

    def _check(self, sql: str) -> None:
        kinds = [statement.type.name for statement in self._extract(sql)]
        if len(kinds) != 1 or kinds[0] not in ("SELECT", "EXPLAIN"):
            what = ", ".join(kinds) or "nothing"
            raise ToolError(f"only one SELECT is run here, and this is {what}")

    def _explained(self, error: Exception) -> str:
        if type(error).__name__ == "InterruptException":
            return f"the query took longer than {self._limit_s:.3g} s; ask for less"
        try:
            there = "; ".join(f"{name}({', '.join(self._columns(name))})" for name in self.names[:20])
        except self._errors:
            there = ", ".join(self.names)
        return f"{_line(error)} The tables are: {there or 'none, the run has no CSV or Parquet file'}"[:1900]

    def _columns(self, name: str) -> list[str]:
        rows = self._db.execute(f"DESCRIBE {quoted(name)}").fetchall()
        return [f"{row[0]} {row[1]}" for row in rows[:60]]


def _line(error: Exception) -> str:
    first, *more = (line.strip() for line in str(error).split("\n\nLINE", 1)[0].splitlines() if line.strip())
    return " ".join([first, *more[:2]])[:600]


def quoted(name: str) -> str:
    """Return a name as SQL quotes it."""
    return '"' + name.replace('"', '""') + '"'
