"""Trials, their validity, and the searches that pick them."""
