"""A host as it is at this moment."""
