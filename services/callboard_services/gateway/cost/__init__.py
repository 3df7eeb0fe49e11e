"""The doors of cost and usage: sums by any dimension, prices that were charged, spend alerts."""
