"""Memory over a real broker and real tables."""
