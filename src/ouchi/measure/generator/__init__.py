"""The traffic generator: its process, streams and frames."""
