"""Programs that are servers, confined to what the config grants them.

Theory of operation: `machine` finds out, once, what this machine can confine with: bubblewrap
(namespaces of its own) or Landlock and seccomp (rules that a process puts upon itself). `wish` is
what a server's table asks for, `program` what its program itself consists of, `system` what every
program needs. From these `bubblewrap` or `landlock` make the arguments of `launcher`, a small
program that puts limits, filters (`seccomp`) and rules upon itself and then becomes the server, so
that nothing of the server ever runs unconfined. `confine` chooses between them and says what is
enforced and what is not; `grants` reads from what a refused server says which line would grant it.
Nothing here starts a process but `machine`, which tries whether bubblewrap works.
"""
