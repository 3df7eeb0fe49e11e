"""Requests to people: the list, one of them, and votes."""
