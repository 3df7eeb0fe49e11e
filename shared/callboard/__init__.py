"""Callboard: what services, tools and clients share. Import what you need from its modules."""
