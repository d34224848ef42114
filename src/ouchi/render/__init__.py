"""Plans and settings as configuration text: pure functions, no machine in sight."""
