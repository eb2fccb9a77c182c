"""The host's own tools: searching a large catalogue, reading what was too large for a result, and
finding again what a conversation was shortened by.

Theory of operation: `source` lays them over the servers' tools, so that for the engine they are
tools like any other, of the server `host`, which no config may define: policy, audit and transcript
see them. They only read, and only what is this run's. `definitions` says what they are, `finding`
searches the catalogue, `artifacts` opens a run's artifacts, `paging` and `searching` read in them
with bounded memory and output, `recalling` finds again what is left out of a conversation.
"""
