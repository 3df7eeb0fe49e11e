"""Memory: what is kept for longer than a turn, found again by meaning and by words, and forgotten for good."""
