"""Spend alerts: people hear that money goes faster than was declared, or than is usual, before a limit is reached."""
