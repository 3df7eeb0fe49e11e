"""Measurements as JSON and as one table."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from tests.bench.bars import METRICS, Bar, Figures, Metric, bars

HEADINGS = ("work", "what", "callboard", "chain", "floor", "÷ chain", "÷ floor", "bar", "")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One work in one profile with one sync."""

    work: str
    profile: str
    sync: str
    groups: int
    figures: Figures
    references: Mapping[str, Figures] = {}
    """Of the chain and the floor, where there are any."""

    def to(self, reference: str) -> dict[str, float]:
        """Return the ratios to a reference."""
        base = self.references.get(reference, {})
        return {key: round(found / base[key], 3) for key, found in self.figures.items() if base.get(key)}

    def bars(self) -> list[Bar]:
        """Return the bars that hold here."""
        return [bar for key in self.figures for bar in bars(key, self.profile, self.sync) if self._is_known(bar)]

    def _is_known(self, bar: Bar) -> bool:
        return bar.of not in ("chain", "floor") or bar.key in self.references.get(bar.of, {})

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "profile": self.profile,
            "sync": self.sync,
            "groups": self.groups,
            **_rounded(self.figures),
            **{name: _rounded(figures) for name, figures in self.references.items()},
            **{f"to_{name}": self.to(name) for name in self.references},
            "bars": [
                {"key": bar.key, "bar": str(bar), "met": bar.met(self.figures, self.references)} for bar in self.bars()
            ],
        }


def _rounded(figures: Figures) -> dict[str, float]:
    return {key: float(f"{found:.4g}") for key, found in figures.items()}


def print_table(rows: Iterable[Row], title: str, console: Console) -> None:
    """Print all rows as one table, a section a row."""
    table = Table(title=title, title_justify="left", pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("work", "what", "bar", "") else "right", no_wrap=True)
    for row in rows:
        table.add_section()
        name = f"{row.work.upper()} {row.profile}, {row.sync}, {row.groups} journals"
        for metric in METRICS[row.work]:
            if metric.key in row.figures:
                table.add_row(name, *_cells(row, metric))
                name = ""
    console.print(table)


def _cells(row: Row, metric: Metric) -> tuple[str, ...]:
    found = [bar for bar in row.bars() if bar.key == metric.key]
    met = ["[green]met[/]" if bar.met(row.figures, row.references) else "[red]not met[/]" for bar in found]
    return (
        f"{metric.label}, {metric.unit}".rstrip(", "),
        _number(row.figures.get(metric.key)),
        *(_number(row.references.get(name, {}).get(metric.key)) for name in ("chain", "floor")),
        *(_number(row.to(name).get(metric.key)) for name in ("chain", "floor")),
        "\n".join(map(str, found)),
        "\n".join(met),
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
