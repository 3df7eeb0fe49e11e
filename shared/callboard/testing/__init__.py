"""For tests: what a real broker, real processes and believable records are made with."""
