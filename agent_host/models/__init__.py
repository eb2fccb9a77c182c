"""Floor 3: one file a wire dialect, and the models that need no model. See `openai_chat.py` and `offline.py`."""
