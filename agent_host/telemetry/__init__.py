"""OpenTelemetry traces and metrics of a run (the extra `telemetry`).

Theory of operation: spans are derived from the facts that everybody else reads, so what is traced
is what happened. `sink` is a sink of the feed that costs a list append and imports nothing; once
the SDK is imported (beside the run, in the thread that imports) it hands over what has come so far.
`spans` turns records into spans and metrics by the GenAI and MCP conventions, with the records' own
times; `sending` is the SDK: queues, batches, OTLP over HTTP. A collector that is down costs the
run nothing but one line at its end. Without content nothing of messages, arguments or results
leaves: names, counts, times, outcomes.
"""
