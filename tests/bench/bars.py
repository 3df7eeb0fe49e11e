"""What is measured, and the bar that each figure must reach: as ratios where it must hold on any machine."""

from collections.abc import Mapping
from typing import Literal

import msgspec

Figures = Mapping[str, float]
_AUTOGEN_TO_FLOOR = 3_444 / 13_242
"""AutoGen core keeps nothing; it made so many steps where bare JetStream, synced each interval, made these."""
_FAN_TO_FLOOR = 290 / 45


class Metric(msgspec.Struct, frozen=True):
    """One figure."""

    key: str
    label: str
    unit: str = ""


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A bound of the embedded profile."""

    key: str
    at: Literal["most", "least"]
    limit: float
    of: str = ""
    """`chain`, `floor` or another figure of the same measurement; empty: the limit is absolute."""
    sync: str = ""
    """Empty: either."""

    def bound(self, figures: Figures, references: Mapping[str, Figures]) -> float:
        """Return the bound in the figure's own unit."""
        of = references[self.of][self.key] if self.of in references else figures[self.of] if self.of else 1.0
        return self.limit * of

    def met(self, figures: Figures, references: Mapping[str, Figures]) -> bool:
        """Tell whether the figure reaches it."""
        found, bound = figures[self.key], self.bound(figures, references)
        return found <= bound if self.at == "most" else found >= bound

    def __str__(self) -> str:
        sign, limit = "≤" if self.at == "most" else "≥", f"{self.limit:,.4g}"
        if not self.of:
            return f"{sign} {limit}"
        return f"{sign} {self.of.replace('_', ' ')}" if self.limit == 1 else f"{sign} {limit} x {self.of}"


METRICS: dict[str, tuple[Metric, ...]] = {
    "w1": (
        Metric("p50_ms", "a run alone, p50", "ms"),
        Metric("p99_ms", "a run alone, p99", "ms"),
        Metric("steps_per_s", "100 runs at once", "steps/s"),
        Metric("cpu_s_per_1000_steps", "CPU of all processes", "s / 1,000 steps"),
        Metric("memory_mib", "memory of all processes", "MiB"),
        Metric("messages_per_activity", "stored messages", "a step"),
        Metric("bytes_per_step", "in the journals", "B a step"),
        Metric("disk_bytes_per_step", "blocks of the store", "B a step"),
    ),
    "w2": (Metric("fan_ms", "spawn and gather sub-agents", "ms"),),
    "w3": (
        Metric("complete_s", "from the kill until all is complete", "s"),
        Metric("of_which_start_s", "of which starting the processes", "s"),
        Metric("in_flight", "calls in flight at the kill", ""),
        Metric("executed_again", "executed again", "steps"),
        Metric("steps_lost", "lost", "steps"),
        Metric("records_doubled", "recorded twice", "steps"),
    ),
    "w4": (
        Metric("delivery_p50_ms", "record to a subscriber, p50", "ms"),
        Metric("delivery_p99_ms", "record to a subscriber, p99", "ms"),
    ),
    "scale": (
        Metric("calls_per_s_of_1", "one executor process", "calls/s"),
        Metric("calls_per_s", "several executor processes", "calls/s"),
        Metric("ratio", "several to one"),
    ),
    "memory": (
        Metric("mib_after_few", "the process, after few runs", "MiB"),
        Metric("mib_after_many", "the process, after many runs", "MiB"),
        Metric("growth", "many to few"),
        Metric("server_mib", "the server, after many runs", "MiB"),
    ),
    "parked": (
        Metric("alone_ms", "a run alone, p50", "ms"),
        Metric("beside_ms", "a run beside parked runs, p50", "ms"),
        Metric("slower", "beside to alone"),
        Metric("at_rest_s", "at rest again after", "s"),
    ),
    "history": (
        Metric("page_ms", "a page by one filter, p95, the slowest", "ms"),
        Metric("page_of_several_ms", "a page by several, p95, the slowest", "ms"),
        Metric("sum_s", "costs by one dimension, the slowest", "s"),
        Metric("sum_of_several_s", "costs by several, the slowest", "s"),
        Metric("seal_us_per_tree", "adding up a tree that is over", "µs"),
        Metric("mib", "the database", "MiB"),
    ),
    "recall": (
        Metric("folded_s", "from the start until every row is folded", "s"),
        Metric("indexed_s", "from the start until every index is built", "s"),
        Metric("recall_p50_ms", "a question, p50", "ms"),
        Metric("recall_p95_ms", "a question, p95", "ms"),
        Metric("recall_cpu_ms", "CPU of the service, a question", "ms"),
        Metric("visible_p99_ms", "from remembering to finding, p99", "ms"),
        Metric("service_mib", "memory of the service", "MiB"),
    ),
}

BARS = (
    Bar(key="steps_per_s", at="least", limit=0.75, of="chain", sync="always"),
    Bar(key="steps_per_s", at="least", limit=0.6, of="chain", sync="100ms"),
    Bar(key="steps_per_s", at="least", limit=_AUTOGEN_TO_FLOOR, of="floor", sync="100ms"),
    Bar(key="p50_ms", at="most", limit=1.5, of="chain", sync="always"),
    Bar(key="cpu_s_per_1000_steps", at="most", limit=1.7, of="chain", sync="always"),
    Bar(key="cpu_s_per_1000_steps", at="most", limit=1.8, of="chain", sync="100ms"),
    Bar(key="bytes_per_step", at="most", limit=2_500),
    Bar(key="fan_ms", at="most", limit=_FAN_TO_FLOOR, of="floor", sync="always"),
    Bar(key="complete_s", at="most", limit=5),
    Bar(key="executed_again", at="most", limit=1, of="in_flight"),
    Bar(key="steps_lost", at="most", limit=0),
    Bar(key="records_doubled", at="most", limit=0),
    Bar(key="delivery_p50_ms", at="most", limit=2),
    Bar(key="ratio", at="least", limit=3.8),
    Bar(key="growth", at="most", limit=1.1),
    Bar(key="page_ms", at="most", limit=100),
    Bar(key="sum_s", at="most", limit=1),
    Bar(key="slower", at="most", limit=1.1),
    Bar(key="recall_p95_ms", at="most", limit=30),
    Bar(key="visible_p99_ms", at="most", limit=1000),
)


def bars(key: str, profile: str, sync: str) -> tuple[Bar, ...]:
    """Return the bars of a figure: they are the embedded profile's."""
    if profile != "embedded":
        return ()
    return tuple(bar for bar in BARS if bar.key == key and bar.sync in ("", sync))
