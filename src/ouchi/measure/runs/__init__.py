"""Runs: their values, their folder, and comparisons of them."""
