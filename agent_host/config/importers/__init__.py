"""Servers that other applications are configured with, as tables of servers.toml.

Theory of operation of this room: each application has one file that says where its config lies and
turns it into `Raw` servers (`raw`), which have one form for all; `build` makes a table of each:
`tidy` takes out what cannot be seen, `words` reads the variables of all the dialects, `wrappers`
undoes programs that only start or reach the real server, and whatever looks like a secret becomes
a reference. `read` recognizes a file by its content and is the only one that touches the disk,
together with `envfile`. `merge` settles names. Nothing here is started, contacted or written; what
cannot be expressed is a note on the entry. A file of another application is untrusted text.
"""
