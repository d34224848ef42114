"""What each command does, in order: one file per verb."""
