"""What people and programs read: the terminal, and JSON."""
