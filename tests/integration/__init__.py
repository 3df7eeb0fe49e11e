"""The real services over a real broker, in one process."""
