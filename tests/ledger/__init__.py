"""The ledger's promises."""
