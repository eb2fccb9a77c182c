"""The audit log: who did what, when, and with what authorization, in a form that shows changes.

Theory of operation: `entries` turns a run's records into entries, purely; `chain` makes each entry
a line that names the hash of the one before; `log` appends lines to files that all processes of a
user share, one writer at a time; `files` says which files there are; `keys` signs; `retention`
removes old files; `verify` follows the chain; `reading` finds entries; `ocsf`, `cef` and `otel`
write them as others want them; `spool` and `sender` bring them to a collector. The room knows no
config and no transcript: `host/audit.py` puts it between a session and its transcript.
"""
