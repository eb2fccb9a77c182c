"""What happened, kept: one append-only file a run, written before effects and read for ever.

Theory of operation: `codec.encode` makes one line of a record and imports nothing heavy, because
every run pays for it; `transcript.Transcript` appends such lines to a file that it alone holds
(`flock`), whole or not at all. `decode` turns lines into records again and is the only file that
needs pydantic: reading code imports it, writing code never does. `reader` finds and reads
transcripts and lists them; `show` renders one for people. `redact` keeps the values of known
secrets out of every line and artifact, and of what surfaces show. `ids` makes run ids that sort by
time. A transcript may end in a torn line (a crash); that line is set aside, and nothing else is
ever dropped in silence.
"""
