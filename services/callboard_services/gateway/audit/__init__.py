"""The doors of the audit: a tree as a bundle that anybody can verify, what was done in a period, and a run's steps."""
