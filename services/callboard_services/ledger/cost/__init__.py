"""What was spent, by any dimension: from sums by day where trees are sealed, from calls where they are not."""
