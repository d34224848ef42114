"""A computer elsewhere, by ssh: with the system's own client, and nothing of ours on the other side."""
