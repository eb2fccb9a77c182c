"""The bundled demo: an MCP server of a shop's order desk.

Theory of operation: `seed` is the data, as plain rows whose dates are days relative to today;
`desk` keeps them in SQLite and holds the rules of the shop (what may be refunded, cancelled,
changed) and its errors, and knows nothing of MCP; `tools` is the table of what is offered, each
row a definition and the function of the desk behind it; `server` speaks MCP (stdio and
streamable HTTP) for that table. By default the database lives in memory: every process starts
with the same fresh shop, and nothing is left behind. Only `server` imports the SDK, so that a
wrong option is answered before that second is spent.
"""
