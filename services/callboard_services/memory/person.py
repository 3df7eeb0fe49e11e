"""Which rows one person may see. Pure."""

from callboard_services.memory.rows import Row

NEEDED = (
    "id",
    "document",
    "n",
    "scope",
    "owner",
    "principal",
    "source",
    "workspace",
    "kind",
    "trust",
    "title",
    "at_ms",
)
"""The columns that tell it, and those that are listed."""


def sees(principal: str, row: Row) -> bool:
    """Tell whether a person may see a row."""
    match row["scope"]:
        case "workspace" | "skill":
            return True
        case "user":
            return bool(principal) and row["owner"] == principal
        case _:
            return bool(principal) and row["principal"] == principal
