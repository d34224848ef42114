"""Checks: the live state of a host against its target, each with a stable id, why it matters and what fixes it."""
