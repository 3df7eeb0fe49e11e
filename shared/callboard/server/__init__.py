"""The NATS server that Callboard starts itself: where its binary is, how it is configured, how it runs and stops."""

from callboard.server import marks
from callboard.server.binary import Binary, find_server
from callboard.server.lock import FolderLock
from callboard.server.process import Server, start_server
from callboard.server.secrets import passwords

__all__ = ["Binary", "FolderLock", "Server", "find_server", "marks", "passwords", "start_server"]
