"""Floor 0: pure values, facts, the fold and the loop. See `conversation.py` and `loop.py`."""
