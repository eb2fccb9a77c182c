"""What people and scripts see: sinks of the one stream of events, and the way to ask a human.

Theory of operation: a surface takes records and ephemerals (`EventSink.emit`) and writes them to
an `Outlet`, which never blocks on a width, an encoding or a closed pipe. `cards` turns facts into
short lines once, for every surface; `plain` and `jsonl` serve `run` (no screen library), `terminal`
draws markdown with rich, `prompt` reads the chat's input with prompt-toolkit. `question` draws what
a human is asked and `approval` holds that dialogue, over whatever reads lines. Text of a server or
a model is cleaned here, at the last moment, and while a question is open nothing else is written:
no content can draw over a question or answer it. Each module is loaded by name where it is needed;
this file imports nothing.
"""
