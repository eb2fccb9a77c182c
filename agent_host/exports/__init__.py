"""A recorded run in other forms: Markdown, and one HTML file that needs nothing else.

Theory of operation: `story` turns records into what a reader looks for, in order: who said what,
each call with all that happened to it (policy, people, times, result), and notes. Its strings are
as recorded; `texts` bounds them and makes them visible, and each writer (`markdown`, `page`)
escapes for its own form. What needs other rooms (reading a file, a provider's messages, writing)
is in `host.exporting`.
"""
