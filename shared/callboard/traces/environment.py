"""Where traces go: OpenTelemetry's own variables, as its specification names them. No endpoint: nowhere.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

import importlib.util
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from callboard_contracts.errors import CallboardError

Signal = Literal["traces", "metrics"]
Protocol = Literal["http/protobuf", "http/json"]

_PREFIX: Final = "OTEL_EXPORTER_OTLP"
_SAMPLERS: Final = ("always_on", "always_off", "traceidratio")
_LOW: Final = (1 << 64) - 1


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where one signal goes, and how."""

    url: str
    protocol: Protocol = "http/protobuf"
    headers: dict[str, str] = {}
    timeout_s: float = 10.0
    gzip: bool = False
    certificate: str = ""
    """A file with the authorities that are trusted; empty: the usual ones."""
    client_certificate: str = ""
    client_key: str = ""


class Sampler(msgspec.Struct, frozen=True, kw_only=True):
    """Which traces are kept. It follows from the trace's id, so that all that see a trace agree."""

    ratio: float = 1.0
    follows_parent: bool = True
    """A trace that came with the goal is kept when its sender keeps it."""

    def keeps(self, trace_id: str, sampled: bool | None) -> bool:
        """Tell whether a trace is kept. :param sampled: whether the goal's sender keeps it; None: none came."""
        if sampled is not None and self.follows_parent:
            return sampled
        return (int(trace_id, 16) & _LOW) < self.ratio * (_LOW + 1)


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What OpenTelemetry's variables say."""

    traces: Target | None = None
    metrics: Target | None = None
    resource: dict[str, str] = {}
    sampler: Sampler = Sampler()
    metrics_every_s: float = 60.0

    @property
    def on(self) -> bool:
        """Whether anything is sent."""
        return self.traces is not None or self.metrics is not None

    @property
    def needs_protobuf(self) -> bool:
        """Whether `callboard[otlp]` must be there."""
        return any(one is not None and one.protocol == "http/protobuf" for one in (self.traces, self.metrics))


def read(variables: Mapping[str, str]) -> Environment:
    """Return what the variables say; without an endpoint nothing is on.

    :raises CallboardError: `invalid_request` with the name of the variable that cannot be used.
    """
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Environment()
    try:
        return Environment(
            traces=_target(variables, "traces"),
            metrics=_target(variables, "metrics"),
            resource=_resource(variables),
            sampler=_sampler(variables),
            metrics_every_s=_number(variables, "OTEL_METRIC_EXPORT_INTERVAL", 60_000.0) / 1000,
        )
    except ValueError as error:
        raise CallboardError("invalid_request", str(error)) from None


def installed() -> bool:
    """Tell whether `callboard[otlp]` is there."""
    return importlib.util.find_spec("opentelemetry.proto") is not None


def _target(variables: Mapping[str, str], signal: Signal) -> Target | None:
    def said(name: str) -> str:
        own = variables.get(f"{_PREFIX}_{signal.upper()}_{name}", "").strip()
        return own or variables.get(f"{_PREFIX}_{name}", "").strip()

    url = _url(variables, signal)
    if not url or variables.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").strip().lower() == "none":
        return None
    return Target(
        url=url,
        protocol=_protocol(said("PROTOCOL")),
        headers=_pairs(f"{_PREFIX}_HEADERS", said("HEADERS")),
        timeout_s=_positive(f"{_PREFIX}_TIMEOUT", said("TIMEOUT"), 10_000.0) / 1000,
        gzip=said("COMPRESSION").lower() == "gzip",
        certificate=said("CERTIFICATE"),
        client_certificate=said("CLIENT_CERTIFICATE"),
        client_key=said("CLIENT_KEY"),
    )


def _url(variables: Mapping[str, str], signal: Signal) -> str:
    """Return a signal's own endpoint as it stands, or the common one with the signal's path."""
    own = variables.get(f"{_PREFIX}_{signal.upper()}_ENDPOINT", "").strip()
    common = variables.get(f"{_PREFIX}_ENDPOINT", "").strip()
    url = own or (f"{common.rstrip('/')}/v1/{signal}" if common else "")
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise ValueError(f"{_PREFIX}_ENDPOINT: {url!r} is no URL with http or https")
    return url


def _protocol(said: str) -> Protocol:
    match said or "http/protobuf":
        case "http/protobuf":
            return "http/protobuf"
        case "http/json":
            return "http/json"
        case other:
            raise ValueError(f"{_PREFIX}_PROTOCOL: {other!r} is neither http/protobuf nor http/json")


def _resource(variables: Mapping[str, str]) -> dict[str, str]:
    found = {"service.name": "callboard"} | _pairs(
        "OTEL_RESOURCE_ATTRIBUTES", variables.get("OTEL_RESOURCE_ATTRIBUTES", "")
    )
    name = variables.get("OTEL_SERVICE_NAME", "").strip()
    return found | ({"service.name": name} if name else {})


def _sampler(variables: Mapping[str, str]) -> Sampler:
    said = variables.get("OTEL_TRACES_SAMPLER", "").strip().lower() or "parentbased_always_on"
    name = said.removeprefix("parentbased_")
    if name not in _SAMPLERS:
        raise ValueError(f"OTEL_TRACES_SAMPLER: {said!r} is not one of {', '.join(_SAMPLERS)}")
    ratio = {"always_on": 1.0, "always_off": 0.0}.get(name)
    if ratio is None:
        ratio = min(1.0, _number(variables, "OTEL_TRACES_SAMPLER_ARG", 1.0))
    return Sampler(ratio=ratio, follows_parent=name != said)


def _number(variables: Mapping[str, str], name: str, default: float) -> float:
    return _positive(name, variables.get(name, "").strip(), default)


def _positive(name: str, said: str, default: float) -> float:
    try:
        found = float(said) if said else default
    except ValueError:
        raise ValueError(f"{name}: {said!r} is no number") from None
    if not found >= 0:
        raise ValueError(f"{name}: {said!r} is less than 0")
    return found


def _pairs(name: str, said: str) -> dict[str, str]:
    """Return `key=value` pairs. What is wrong is told without its value, which may be a secret."""
    found: dict[str, str] = {}
    for one in filter(None, (part.strip() for part in said.split(","))):
        key, equals, value = one.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"{name}: it is a list of key=value")
        found[unquote(key.strip())] = unquote(value.strip())
    return found
