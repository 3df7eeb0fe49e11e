"""Whatever fails, what the simulator's services leave behind passes an audit: nobody has to explain a false alarm."""

from collections import defaultdict
from unittest.mock import patch

from callboard.audit.message import Message, stored
from callboard.audit.verify import verify
from callboard.bus.message import decode_headers
from tests.audit.kit import bundle
from tests.simulation import history
from tests.simulation.broker import Broker
from tests.simulation.world import simulate

SEEDS = 12


def trees(broker: Broker) -> dict[tuple[str, str], list[Message]]:
    """Return every tree of a broker, each message as it is stored."""
    found: dict[tuple[str, str], list[Message]] = defaultdict(list)
    for stream in broker.streams.values():
        if stream.name.startswith("JOURNAL-"):
            for one in stream.messages.values():
                tokens = one.subject.split(".")
                message = stored(one.seq, one.time_ns // 1_000_000, one.subject, decode_headers(one.block), one.body)
                found[tokens[1], tokens[4]].append(message)
    return found


def test_every_tree_of_the_simulator_is_verified() -> None:
    brokers: list[Broker] = []
    read = history.read

    def seen(broker: Broker) -> history.History:
        brokers.append(broker)
        return read(broker)

    with patch.object(history, "read", seen):
        for seed in range(SEEDS):
            simulate(seed)
    found = {key: messages for broker in brokers for key, messages in trees(broker).items()}
    assert len(found) >= SEEDS
    reports = {key: verify(bundle(messages)) for key, messages in found.items()}
    assert {key: report.problems for key, report in reports.items() if not report.ok} == {}
    assert sum(report.counts["approvals"] for report in reports.values()) > 0
