"""The deterministic simulator: the real actors, runtime and executors over a broker in memory and virtual time."""
