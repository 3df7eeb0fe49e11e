"""The whole system in one process: the server, every service with its own connection and user, one event loop."""
