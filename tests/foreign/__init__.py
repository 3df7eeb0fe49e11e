"""Programs that join with nothing but a NATS client: they import none of our packages."""
