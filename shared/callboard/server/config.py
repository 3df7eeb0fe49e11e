"""The server's configuration as text. Pure: the same plan gives the same text."""

import json
from pathlib import Path

import msgspec

from callboard.bus.users import CLIENT, users
from callboard.server.accounts import render_accounts

MAX_PAYLOAD = 1024 * 1024
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What kind of server is wanted."""

    store: Path
    """Where JetStream keeps its streams, and the server its log."""
    host: str = "127.0.0.1"
    port: int = 0
    """0: any free one."""
    sync: str = "always"
    """`always`: what is acknowledged survives a power cut. Else an interval such as `2m`."""
    passwords: dict[str, str] = {}
    """By user; none: no authentication at all, for tests."""
    tenant: str = "default"
    """Whose data people without credentials see."""
    name: str = "callboard"
    max_payload: int = MAX_PAYLOAD
    """The largest message, in bytes."""


def render(plan: Plan, *, ports: Path) -> str:
    """Return the configuration; the server writes its ports into the folder `ports`."""
    lines = _general(plan, ports)
    if plan.passwords:
        lines += render_accounts(users(plan.tenant), plan.passwords)
        if plan.host in LOOPBACK:
            lines.append(f"no_auth_user: {_text(CLIENT)}")
    return "\n".join(lines) + "\n"


def _general(plan: Plan, ports: Path) -> list[str]:
    return [
        f"server_name: {_text(plan.name)}",
        f"host: {_text(plan.host)}",
        f"port: {plan.port or -1}",
        'http: "127.0.0.1:-1"',
        f"ports_file_dir: {_text(ports)}",
        f"max_payload: {plan.max_payload}",
        "max_pending: 67108864",
        'write_deadline: "10s"',
        'ping_interval: "20s"',
        "ping_max: 3",
        f"jetstream {{ store_dir: {_text(plan.store)}, sync_interval: {_text(plan.sync)} }}",
    ]


def _text(value: object) -> str:
    return json.dumps(str(value))
