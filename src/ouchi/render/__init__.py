"""A plan as configuration of other tools: pure functions, one target per file."""
