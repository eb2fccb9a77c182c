"""Floor 5: one file a command; `main.py` holds the table of commands."""
