"""The state of each part, for ``ouchi status``."""
