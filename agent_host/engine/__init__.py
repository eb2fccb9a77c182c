"""Floor 2: the only async code that knows the order of things. See `session.py`."""
