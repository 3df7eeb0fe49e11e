"""A tool as it announces itself: in the metadata `callboard.tool` of its NATS micro service, as JSON."""

from typing import Any, Literal

import msgspec

from callboard_contracts.units import MicroUsd

Effect = Literal["pure", "read", "write", "irreversible"]
"""What running it twice would mean: nothing, a second look, a second change, a second change for ever."""


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model that the models service can reach. Prices are per million tokens; absent means unknown."""

    name: str
    input_micro_usd: MicroUsd | None = None
    output_micro_usd: MicroUsd | None = None
    context_tokens: int = 0
    scripted: bool = False
    """Its answers come from a file: labelled as such wherever it shows."""


class Spec(msgspec.Struct, tag="tool.spec.v1", frozen=True, kw_only=True, omit_defaults=True):
    """What a tool is: for the model its description, for the guard its schema, effect class and price."""

    name: str
    version: str = "1.0.0"
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None = None
    effect: Effect = "read"
    price_micro_usd: MicroUsd = 0
    """The most that one call can cost."""
    timeout_s: float = 60.0
    hidden: bool = False
    """Not offered to models: the system's own."""
    models: tuple[Model, ...] = ()
    """Of the tool `model` alone: what can be asked, the default first."""
    tags: tuple[str, ...] = ()


class Entry(msgspec.Struct, tag="tool.entry.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A tool in the registry: what it is, and how many processes serve it."""

    spec: Spec
    instances: int = 0
    admitted: bool = True
    problem: str = ""
    """Why it is not admitted."""
