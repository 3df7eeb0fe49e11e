"""Traces and metrics to a collector: the records of each journal as spans, from a position of their own."""
