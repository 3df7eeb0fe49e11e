"""Runs the built-in tools, and admits every tool that starts anywhere."""
