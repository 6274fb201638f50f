"""Intervals, paired tests, power and replication: numbers in, numbers out."""
