"""Who did what, proved: bundles of a tree's records that anybody checks without a broker, and the acts they tell."""
