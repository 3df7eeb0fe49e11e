"""Tables that are tidied soon, so that no test waits for it."""

import pytest

from callboard_services.memory import keeping


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring indices up to date a moment after a change."""
    monkeypatch.setattr(keeping, "_TIDY_S", 0.2)
