"""Trials, their validity, and the searches and tests that run them."""
