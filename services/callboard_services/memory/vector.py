"""A vector as it is stored: base64 of float16, little-endian. So every reader computes with the same numbers."""

import base64
from collections.abc import Sequence
from typing import Any


def pack(vector: Sequence[float]) -> str:
    """Return a vector, scaled to length 1, as it is stored."""
    import numpy as np

    exact = np.asarray(vector, np.float64)
    length = float(np.linalg.norm(exact))
    unit = exact / length if length else exact
    return base64.b64encode(unit.astype("<f2").tobytes()).decode()


def unpack(text: str) -> Any:
    """Return what was stored as an array of float16.

    :raises ValueError: it is no vector.
    """
    import numpy as np

    return np.frombuffer(base64.b64decode(text, validate=True), "<f2")
