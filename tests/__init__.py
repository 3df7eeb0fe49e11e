"""Tests are promises."""
