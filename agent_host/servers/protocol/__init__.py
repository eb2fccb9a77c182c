"""The Model Context Protocol as a client speaks it, over whatever transport.

Theory of operation: `requests` sends raw JSON and pairs answers; `handshake` agrees on a version;
`listing` walks pages; `calls` calls a tool with all that a server may do before it answers
(`inputs`, `tasks`), within a time that progress renews (`patience`); `news` hears what changed;
`skills` reads and verifies skills.
"""
