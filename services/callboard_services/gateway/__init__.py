"""The gateway: HTTP and SSE in, goals out; it authenticates, validates, publishes and streams, and decides nothing."""
