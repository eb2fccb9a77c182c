"""Floor 3: a file for each wire dialect, and the models that need no model.

See `openai_chat.py` and `offline.py`.
"""
