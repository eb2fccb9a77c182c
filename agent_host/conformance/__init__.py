"""The host as the client of the official MCP conformance suite.

Theory of operation: the suite starts a server, and then `python -m agent_host.conformance URL` with
what the client should know in the environment (`settings` reads it). `visit` does what a session
does with a server, over the same `Pool` and connections as every run: list what it offers, call
and read all of it, answer what it asks. In place of a human there is a `stand_in`, who logs in
where an authorization server lets anybody in, and accepts each form with its defaults. What the
server saw is judged by the suite alone. Nothing here is for a user; no command leads to it.
"""
