"""Decides a run's next turn: what to ask the model, which calls to propose, and when the run ends."""
