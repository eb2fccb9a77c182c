"""What servers say their tools are, and what these answer, judged before anyone believes it.

Theory of operation: `definitions` makes tools of raw definitions (`mending` puts the usual mistakes
right, `signs` and `foreign` notice what an attack looks like, `labelling` says what data it
brings); `vetting` measures what a schema can cost and `validation` checks values; `results` makes
blocks of a raw result (`media`, `saying`), and `outcome` the one result of a call.
"""
