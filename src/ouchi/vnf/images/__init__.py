"""Guest images: one file per kind."""
