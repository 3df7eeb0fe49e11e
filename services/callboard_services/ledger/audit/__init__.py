"""The audit: signs how far each journal's records go, and proves of any record that it is the last of its actor."""
