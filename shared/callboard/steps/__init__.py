"""A run's steps, told one by one, and what was wasted on the way: pure folds of its records."""
