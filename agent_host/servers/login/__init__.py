"""Logging in to a server behind a URL.

Theory of operation: `transport` stands between the MCP transport and the network. It adds the
stored token to requests to the server's own origin and to no other, and when the server wants
another one (401), or one with more rights (403), asks `renewal` for it. `renewal` holds the one
lock, across tasks and processes, and decides: somebody else's newer token, a refresh, a grant that
needs nobody (`machine_grants`), or a person's login (`code_grant`, with a `person`). What is known
of a server's logins is one `record`, kept by `store`. `discovery` finds the authorization server
and `registration` makes this host its client; `endpoint` speaks to it, with `signatures` where a
key is proven. Every request of all these goes through `wire`, which dials no address that
`addresses` does not admit. Parsing and checking what the specification wants checked is the SDK's
(`sdk`); its providers are not used, because they hold a lock while a call runs, forget when a token
expires and know of no other process.

Sources: MCP authorization 2025-03-26 to 2026-07-28; OAuth 2.1; RFC 7009, 7523, 7591, 8252, 8414,
8693, 8707, 9207, 9449, 9728.
"""
