"""What a process of the benchmark may do: the core services, the stubs, the hops of the chain, a listener."""

from typing import Final

from callboard.service import Serve
from callboard_services.guard.serve import serve as guard
from callboard_services.ledger.serve import serve as ledger
from callboard_services.planner.serve import serve as planner
from tests.bench import chain, listener, stubs

SYSTEM: Final = ("planner", "guard", "ledger", "model", "echo")
CHAIN: Final = tuple(chain.ROLES)

ROLES: Final[dict[str, Serve]] = {
    "planner": planner,
    "guard": guard,
    "ledger": ledger,
    "model": stubs.serving("model"),
    "echo": stubs.serving("echo"),
    "slow": stubs.serve_slow,
    "listener": listener.serve_listener,
    **chain.ROLES,
}
