"""Lets people decide: counts their votes on calls that are held, and says what came of it."""
