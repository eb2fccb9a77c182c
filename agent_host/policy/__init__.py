"""Who may do what: rules over (server, tool) pairs that answer allow, ask or deny.

Theory of operation: `rules.RulePolicy` implements `ports.Policy`. It judges a call by the
identity of its tool, which is the pair of server and own tool name, never by the joined name that
the model is shown: two servers' joined names can be made to look alike, pairs cannot. Rules are
compiled once, so a decision costs microseconds and can neither fail nor block. The policy only
answers; asking a human, and what happens where there is none, is the business of approvers.
"""
