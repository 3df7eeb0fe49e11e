"""The command `callboard`: one file per command, each importing what it needs when it runs."""

from callboard.cli.main import main

__all__ = ["main"]
