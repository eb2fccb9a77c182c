"""Who may do what: rules over (server, tool) pairs that answer allow, ask or deny.

Theory of operation: `rules.RulePolicy` implements `ports.Policy`. It judges a call by the
identity of its tool, which is the pair of server and own tool name, never by the joined name that
the model is shown: two servers' joined names can be made to look alike, pairs cannot. `plans` finds
the rules about a tool, once; `expressions` compiles their conditions and is loaded only if there
are any; `facts` says what they may read, and refuses what is not sound; `texts` reads paths, URLs
and commands for them; `totals` counts; `flow` is the built-in rule about private data and words of
strangers; `case` puts it together for one call. A decision costs microseconds and never fails: what
cannot be told is never allowed. The policy only answers; asking a human, and what happens where
there is none, is the business of approvers. The other files are for people who write rules
(`check`, `explain`, `simulate` and what they need): nothing that they evaluate counts.
"""
