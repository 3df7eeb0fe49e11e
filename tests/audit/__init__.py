"""The audit's promises."""
