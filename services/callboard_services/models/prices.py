"""What models cost and how much they can read, from two JSON tables: the operator's own, and litellm's. Pure.

The operator's: `{"name": {"input": USD, "output": USD, "context": tokens}}` with prices per million tokens.
litellm's: the file that it brings, which is read without importing it. What neither knows is not priced.
"""

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from callboard_contracts.errors import CallboardError
from callboard_contracts.units import MicroUsd, micro_usd


class Price(msgspec.Struct, frozen=True):
    """Per million tokens. None and 0 tokens mean unknown."""

    input_micro_usd: MicroUsd | None = None
    output_micro_usd: MicroUsd | None = None
    context_tokens: int = 0


UNKNOWN = Price()
FREE = Price(0, 0)


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Both tables as they are in their files."""

    own: dict[str, dict[str, Any]] = {}
    litellm: dict[str, dict[str, Any]] = {}

    def of(self, name: str, known_as: str = "", otherwise: Price = UNKNOWN) -> Price:
        """Return a model's price: by its own name in the operator's table, or as `provider/name` in litellm's."""
        if name in self.own:
            return _own(name, self.own[name])
        found = self._known(known_as)
        return otherwise if found is None else _litellm(found)

    def _known(self, name: str) -> dict[str, Any] | None:
        """Find an entry; litellm leaves the prefix of some providers away."""
        provider, _, bare = name.partition("/")
        entry = self.litellm.get(name) or self.litellm.get(bare, {})
        return entry if name in self.litellm or entry.get("litellm_provider") == provider else None

    def providers(self) -> frozenset[str]:
        """Return the provider prefixes that litellm's table names."""
        found = (entry.get("litellm_provider") for entry in self.litellm.values())
        return frozenset(name for name in found if isinstance(name, str))


def parse(own: bytes = b"", litellm: bytes = b"") -> Prices:
    """Read the tables; an empty one is no table.

    :raises CallboardError: `invalid_request`, the operator's is not one.
    """
    try:
        mine = msgspec.json.decode(own, type=dict[str, dict[str, Any]]) if own else {}
        for name, entry in mine.items():
            _own(name, entry)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CallboardError("invalid_request", f"the table of prices cannot be read: {error}") from None
    theirs = msgspec.json.decode(litellm) if litellm else {}
    return Prices(own=mine, litellm={key: value for key, value in theirs.items() if isinstance(value, dict)})


def _own(name: str, entry: dict[str, Any]) -> Price:
    try:
        given = [None if entry.get(key) is None else micro_usd(entry[key]) for key in ("input", "output")]
        return Price(given[0], given[1], int(entry.get("context", 0)))
    except (TypeError, ValueError) as error:
        raise CallboardError("invalid_request", f"the price of {name} cannot be read: {error}") from None


def _litellm(entry: dict[str, Any]) -> Price:
    context = entry.get("max_input_tokens") or entry.get("max_tokens") or 0
    input_, output = _per_million(entry.get("input_cost_per_token")), _per_million(entry.get("output_cost_per_token"))
    return Price(input_, output, int(context) if isinstance(context, int | float) else 0)


def _per_million(per_token: Any) -> MicroUsd | None:
    try:
        return None if per_token is None else micro_usd(str(Decimal(str(per_token)) * 1_000_000))
    except (InvalidOperation, ValueError):
        return None
