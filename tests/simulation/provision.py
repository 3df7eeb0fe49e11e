"""What a system has before its processes start: streams, durables, and the registry's entries."""

from collections.abc import Sequence

from callboard.bus import layout
from callboard.bus.registry import POLICIES
from callboard_contracts import names, wire
from callboard_contracts.policy import Policy
from callboard_contracts.tool import Entry, Spec
from callboard_services.approval.human import ASK
from callboard_services.planner.agent import AGENT
from tests.simulation.broker import Broker


def provision(
    broker: Broker, groups: int, ack_wait_s: float, model: Spec, tools: Sequence[Spec], policy: Policy | None = None
) -> None:
    """Create everything, and admit the model, sub-agents, questions to people and tools."""
    broker.provision(groups, ack_wait_s)
    for spec in (model, AGENT, ASK, *tools):
        subject = f"$KV.{layout.REGISTRY}.tool.{names.token(spec.name)}"
        entry = wire.encode(Entry(spec=spec, instances=1))
        broker.store(broker.streams[f"KV_{layout.REGISTRY}"], subject, b"", entry)
    if policy is not None:
        broker.store(broker.streams[f"KV_{layout.REGISTRY}"], f"{POLICIES}.{policy.name}", b"", wire.encode(policy))
    for spec in tools:
        for group in range(groups):
            config = layout.tool_consumer(spec.name, ack_wait_s=ack_wait_s, new=True)
            broker.add_consumer(layout.journal(group), config)
