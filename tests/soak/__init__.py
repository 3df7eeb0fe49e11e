"""Long work, and much of it: minutes each, and not part of `just test`. See `just soak`."""
