"""The world outside: an HTTP server that counts what was done to it, by call."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Counting:
    """What was posted: how often, by path."""

    def __init__(self) -> None:
        self.posts: Counter[str] = Counter()
        self.url = ""

    def of(self, call: str) -> int:
        """Return how often a call had its effect."""
        return self.posts[f"/{call}"]

    def begun(self, call: str) -> int:
        """Return how often a call that tells so was begun."""
        return self.posts[f"/begun/{call}"]


@contextmanager
def counting() -> Iterator[Counting]:
    """Run the server on a free port of this machine."""
    found = Counting()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.posts[self.path] += 1
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
