"""The live state of a host: scripts that read it, and parsers of their output."""
