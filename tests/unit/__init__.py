"""Pure behaviour: given these events, when this message, then this turn."""
