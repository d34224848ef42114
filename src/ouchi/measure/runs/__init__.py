"""Runs: their values, their folder, and comparing them."""
