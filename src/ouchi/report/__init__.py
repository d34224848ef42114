"""Output for people and programs: text, HTML, CSV and JSON."""
