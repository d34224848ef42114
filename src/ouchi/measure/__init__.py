"""Measure a path: generate packets, run trials, search for rates, and judge what can be believed."""
