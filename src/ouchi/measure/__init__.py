"""Measuring with the traffic generator: paths, searches, runs."""
