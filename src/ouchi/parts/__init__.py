"""What ouchi runs on a host: one file per part."""
