"""How a process finds the system that runs on this machine: the file `system.json`, which `callboard up` keeps.

A tool author needs neither URL nor password: an argument wins, then CALLBOARD_NATS, then the running system.
"""

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from callboard.settings import Settings, from_environment

FILE = "system.json"


class System(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A system that runs on this machine. The file holds credentials, so only its owner may read it."""

    http: str
    """Base URL of the gateway."""
    nats_client_url: str
    """URL of the broker with the credentials of one who may start goals and listen."""
    nats_tool_url: str
    """URL of the broker with the credentials of a tool's process."""
    pid: int
    """The process that runs it."""
    data: Path
    """Its data folder, which holds this file."""
    started_ms: int = 0
    version: str = ""


def described(settings: Settings, url_of: Callable[[str], str]) -> System:
    """Return the system that this process runs. :param url_of: gives the broker's URL with a user's credentials."""
    from importlib.metadata import version

    from callboard.bus.users import CLIENT, TOOL  # here, because whoever only looks for a system needs no broker

    return System(
        http=f"http://{settings.http}",
        nats_client_url=url_of(CLIENT),
        nats_tool_url=url_of(TOOL),
        pid=os.getpid(),
        data=settings.data,
        started_ms=time.time_ns() // 1_000_000,
        version=version("callboard"),
    )


def system(data: Path) -> System | None:
    """Return the system that runs with a data folder, None when none does or its process is gone."""
    try:
        found = msgspec.json.decode((data / FILE).read_bytes(), type=System, dec_hook=_path)
    except (OSError, msgspec.DecodeError):
        return None
    return found if _lives(found.pid) else None


def announce(running: System) -> None:
    """Write the file, readable by its owner alone, in one step.

    :raises OSError: the folder cannot be written.
    """
    target = running.data / FILE
    draft = target.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(running, enc_hook=str)))
    draft.replace(target)


def withdraw(running: System) -> None:
    """Remove the file, unless another system has taken the folder meanwhile."""
    found = system(running.data)
    if found is None or found.pid == running.pid:
        with contextlib.suppress(OSError):
            (running.data / FILE).unlink()


def tool_url(given: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Return the broker that a tool's process should use.

    :raises CallboardError: `invalid_request`, a setting in the environment cannot be read.
    """
    env = os.environ if environment is None else environment
    if url := given or env.get("CALLBOARD_NATS", ""):
        return url
    settings = from_environment(env)
    running = system(settings.data)
    return running.nats_tool_url if running is not None else settings.nats


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it lives and is another user's
        return True
    return True


def _path(type_: type, value: object) -> object:
    if type_ is Path:
        return Path(str(value))
    raise NotImplementedError(type_)
