"""What tests of the command line share."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Commands configure logging for their process, which here is everybody's."""
    yield
    structlog.reset_defaults()
