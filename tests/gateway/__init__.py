"""The gateway's promises."""
