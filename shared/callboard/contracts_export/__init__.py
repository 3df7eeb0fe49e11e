"""Writes the contracts down for people and other languages: a JSON Schema per message, and AsyncAPI."""
