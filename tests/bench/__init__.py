"""The benchmark: what an activity costs, as ratios to two references measured in the same run."""
