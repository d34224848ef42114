"""The steps of each command, in order: one file per verb."""
