"""Which model a name stands for, what it costs, and what is found when nobody names one."""

from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from callboard import models_store
from callboard.testing.openai_server import OpenAIServer
from callboard_contracts import tool
from callboard_contracts.errors import CallboardError
from callboard_services.models import catalogue, choose, environment, known, prices
from callboard_services.models.known import Choice, Environment, Served, Server
from callboard_services.models.scripted import Scripted

OLLAMA = Server("http://127.0.0.1:11434/v1", (Served("llama", 8192), Served("qwen")))
LITELLM = {
    "gpt-4.1-mini": {
        "litellm_provider": "openai",
        "input_cost_per_token": 4e-07,
        "output_cost_per_token": 1.6e-06,
        "max_input_tokens": 1000,
    },
    "gemini/flash": {"litellm_provider": "gemini", "input_cost_per_token": 3e-07},
}


def env(*keys: str, **more: object) -> Environment:
    given = {"keys": frozenset(f"{key}_API_KEY" for key in keys), "providers": frozenset({"anthropic", "gemini"})}
    return msgspec.convert(given | more, Environment)


def names(environment: Environment, *named: str) -> list[str]:
    return [choice.name for choice in choose.models(named, environment)]


def test_keys_come_before_servers_and_servers_before_the_local_model() -> None:
    everything = env("OPENAI", "ANTHROPIC", "GEMINI", servers=(OLLAMA,), litellm=True, local=True)
    assert names(everything) == [*known.DEFAULTS.values(), "openai/llama", "openai/qwen", "local"]


def test_a_named_model_is_the_default_and_stands_once() -> None:
    assert names(env(servers=(OLLAMA,)), "openai/qwen") == ["openai/qwen", "openai/llama"]


def test_keys_that_need_litellm_count_only_with_it() -> None:
    assert names(env("ANTHROPIC", local=True)) == ["local"]


def test_nothing_to_ask_is_no_model() -> None:
    with pytest.raises(CallboardError) as caught:
        choose.models((), env())
    assert caught.value.code == "no_model"


def test_the_operator_names_the_model_of_a_provider() -> None:
    settings = {"OPENAI_MODEL": "gpt-x", "GEMINI_MODEL": "gemini/flash"}
    assert names(env("OPENAI", "GEMINI", litellm=True, settings=settings)) == ["openai/gpt-x", "gemini/flash"]


def test_a_server_of_ones_own_is_asked_for_what_it_lists_and_gets_the_key() -> None:
    own = Server("https://llm.example/v1", (Served("big"),))
    first = choose.models((), env("OPENAI", servers=(own,), settings={"OPENAI_BASE_URL": own.url}))[0]
    assert (first.target, first.url, first.key) == ("big", own.url, "OPENAI_API_KEY")


def test_a_server_that_was_only_found_never_gets_the_key() -> None:
    found = choose.models((), env("OPENAI", servers=(OLLAMA,)))
    assert [(one.url, one.key) for one in found[1:]] == [(OLLAMA.url, "")] * 2
    assert choose.resolve("openai/llama", env("OPENAI", servers=(OLLAMA,))).url == known.OPENAI_URL


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("openai/gpt-x", "openai", "gpt-x"),
        ("openai/org/model:tag", "openai", "org/model:tag"),
        ("scripted:/a/b.json", "scripted", "/a/b.json"),
        ("anthropic/claude", "litellm", "anthropic/claude"),
        ("litellm/ollama/llama", "litellm", "ollama/llama"),
        ("local", "local", ""),
        ("local/qwen", "local", "qwen"),
    ],
)
def test_a_name_says_how_its_model_is_reached(name: str, kind: str, target: str) -> None:
    choice = choose.resolve(name, env("OPENAI", litellm=True, local=True))
    assert (choice.kind, choice.target) == (kind, target)


@pytest.mark.parametrize(
    ("name", "code", "advice"),
    [
        ("gpt-x", "unknown_model", "openai/gpt-x"),
        ("nobody/x", "unknown_model", "not installed"),
        ("anthropic/claude", "no_model", r"callboard\[litellm\]"),
        ("local", "no_model", r"callboard\[local\]"),
        ("openai/gpt-x", "no_model", "OPENAI_API_KEY"),
    ],
)
def test_a_name_that_cannot_be_reached_says_what_is_missing(name: str, code: str, advice: str) -> None:
    with pytest.raises(CallboardError, match=advice) as caught:
        choose.resolve(name, env())
    assert caught.value.code == code


def told(name: str, kind: str, target: str, url: str = "") -> tool.Model:
    table = prices.parse(b'{"openai/own": {"input": 0.5, "output": 2}}', msgspec.json.encode(LITELLM))
    return catalogue.entry(msgspec.convert({"name": name, "kind": kind, "target": target, "url": url}, Choice), table)


def test_prices_are_the_operators_else_litellms_else_unknown() -> None:
    assert told("openai/own", "openai", "own") == tool.Model(
        name="openai/own", input_micro_usd=500_000, output_micro_usd=2_000_000
    )
    mini = told("openai/gpt-4.1-mini", "openai", "gpt-4.1-mini", known.OPENAI_URL)
    assert (mini.input_micro_usd, mini.output_micro_usd, mini.context_tokens) == (400_000, 1_600_000, 1000)
    assert told("gemini/flash", "litellm", "gemini/flash").input_micro_usd == 300_000
    assert told("x/none", "litellm", "x/none").input_micro_usd is None


def test_the_same_name_elsewhere_is_not_the_same_price() -> None:
    assert told("openai/gpt-4.1-mini", "openai", "gpt-4.1-mini", OLLAMA.url).input_micro_usd is None
    assert told("azure/gpt-4.1-mini", "litellm", "azure/gpt-4.1-mini").input_micro_usd is None


def test_a_script_and_the_local_model_cost_nothing_and_a_script_says_what_it_is() -> None:
    script, local = told("scripted:x", "scripted", "x"), told("local", "local", "")
    assert (script.input_micro_usd, script.scripted, local.output_micro_usd, local.scripted) == (0, True, 0, False)


def test_the_operator_may_say_how_much_a_model_reads() -> None:
    table = prices.parse(b'{"openai/llama": {"context": 4096}}')
    choice = Choice(name="openai/llama", kind="openai", target="llama", url=OLLAMA.url, context_tokens=131_072)
    assert catalogue.entry(choice, table) == tool.Model(name="openai/llama", context_tokens=4096)


@pytest.mark.parametrize("table", [b"[]", b"{", b'{"a": {"input": "much"}}', b'{"a": {"input": -1}}'])
def test_a_table_of_prices_that_cannot_be_read_is_refused(table: bytes) -> None:
    with pytest.raises(CallboardError) as caught:
        prices.parse(table)
    assert caught.value.code == "invalid_request"


@pytest.mark.anyio
async def test_looking_around_finds_servers_and_keys_by_name_alone() -> None:
    async with OpenAIServer(models=("a", "b")) as server:
        url = server.url
        found = await environment.gather({"OPENAI_API_KEY": "sk-secret", "X": "y"}, prices.Prices(), [url])
    assert found.servers == (Server(url, (Served("a"), Served("b"))),)
    assert found.keys == {"OPENAI_API_KEY"}
    assert "sk-secret" not in repr(found)
    assert (await environment.gather({}, prices.Prices(), [url])).servers == ()


@pytest.mark.anyio
async def test_a_catalogue_offers_what_is_named_first_and_opens_a_server_once(tmp_path: Path) -> None:
    script = tmp_path / "s.json"
    script.write_text('{"steps": []}')
    async with OpenAIServer(models=("a", "b")) as server:
        named = [f"scripted:{script}", "openai/b"]
        opened = await catalogue.open_catalogue(named, {"OPENAI_BASE_URL": server.url})
        spec = opened.spec()
        assert [model.name for model in spec.models[:3]] == [*named, "openai/a"]
        assert (spec.name, spec.hidden, spec.models[0].scripted) == ("model", True, True)
        assert isinstance(opened.provider(opened.find("")[1]), Scripted)
        assert opened.provider(opened.find("openai/a")[1]) is opened.provider(opened.find("openai/b")[1])
        with pytest.raises(CallboardError, match="openai/c"):
            opened.find("openai/c")
        await opened.aclose()


@pytest.mark.anyio
async def test_a_script_that_cannot_be_read_stops_the_service_and_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(CallboardError) as caught:
        await catalogue.open_catalogue([f"scripted:{tmp_path / 'none.json'}"], {})
    assert caught.value.code == "invalid_request"


@pytest.mark.anyio
async def test_a_model_file_that_was_pulled_can_be_asked_by_its_name_and_comes_last(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    source = tmp_path / "mine.gguf"
    source.write_bytes(b"GGUF")
    models_store.pull(tmp_path, str(source), sha256(b"GGUF").hexdigest())
    opened = await catalogue.open_catalogue(["local"], {}, data=tmp_path)
    names = [model.name for model in opened.models]
    assert (names[0], names[-1]) == ("local", "local/mine")
    opened.provider(opened.find("local/mine")[1])
    with pytest.raises(CallboardError) as caught:
        await catalogue.open_catalogue(["local/none"], {}, data=tmp_path)
    assert caught.value.code == "unknown_model"
    await opened.aclose()
