"""state.db: what several processes of one user share.

Theory of operation: one SQLite file (WAL) in the user's data folder, mode 0600. `database` opens
it; each further file has tables of its own and is the only one that reads and writes them: the
inbox of approvals (`approvals`) and running totals (`totals`). A write that another process's write
has to see is one immediate transaction. Nothing here is the record of a run: that is its
transcript.
"""
