"""Server-sent events, as far as chat completions use them: lines that start with `data:`. Pure."""

DONE = b"[DONE]"


class Events:
    """Takes bytes as they arrive and gives the data of whole events.

    Lines end at a line feed and nowhere else: JSON may hold other separators (U+2028) as they are.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of every line that is complete now."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return [data for line in lines if (data := _data(line))]

    def close(self) -> list[bytes]:
        """Return the data of a last line that has no end."""
        return self.feed(b"\n")


def _data(line: bytes) -> bytes:
    return line[5:].strip() if line.startswith(b"data:") else b""
