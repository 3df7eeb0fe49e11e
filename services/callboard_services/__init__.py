"""Who says it: one package per service."""
