"""What the ledger does to its database beside folding: it adds up what is over, and notices when the file is gone."""

import asyncio
import sqlite3
from typing import NoReturn

import structlog

from callboard_services.ledger.store import Store

log = structlog.get_logger()

_SEALED = 300
_SEAL_S = 5.0
_SEAL_AGAIN_S = 0.05
_LOOK_S = 2.0


class DatabaseGoneError(Exception):
    """Somebody deleted the database, or put another in its place: the tables must be built anew."""


async def seal(store: Store) -> NoReturn:
    """Add up what is over, some trees at a time, until cancelled: who folds waits some 10 ms for it."""
    while True:
        try:
            sealed = await asyncio.to_thread(store.seal, _SEALED)
        except sqlite3.Error as error:
            log.warning("what is over is not added up yet", reason=str(error))
            sealed = 0
        await asyncio.sleep(_SEAL_AGAIN_S if sealed == _SEALED else _SEAL_S)


async def stay(store: Store) -> NoReturn:
    """Look now and then whether the file that is open is still the one of its name.

    :raises DatabaseGoneError: it is not. What is written to it would be lost with this process.
    """
    while await asyncio.to_thread(store.is_there):  # noqa: ASYNC110 - nobody tells when a file is deleted
        await asyncio.sleep(_LOOK_S)
    log.error("the ledger's database was deleted: building the tables anew")
    raise DatabaseGoneError
