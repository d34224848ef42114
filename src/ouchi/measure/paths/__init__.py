"""Paths on one host: what forwards between the generator's ports, and how a path is opened."""
