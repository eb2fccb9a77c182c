"""How bytes reach a server and come back: a program's pipes, or a URL.

Theory of operation: `stdio` moves messages through the pipes of a `process`, which a `keeper` ends
when the host is gone. `http` and `sse` move them over HTTP through a client (`http_client`) whose
layers each do one thing: failures that are one call's (`http_calls`, with `tickets` for who waits
for what and `fate` for what became of it), what a server wants to know of the user (`user_http`),
logins, `proxies` and `tls`.
"""
