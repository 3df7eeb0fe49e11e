"""Decides what may run: nothing is executed that it did not grant, nothing granted that the budget does not cover."""
