"""`python -m tests.faults.nursery`: the program, started quickly, each time with a fault.

Theory of operation: everything that a run imports is imported once; each line of standard input is
a job as JSON, for which a process is forked that becomes the program: folder, environment, limits
and standard streams are its own, and its end is real. The answer is a line with its exit status.
"""

import json
import os
import resource
import signal
import sys
from importlib import import_module

import coverage

from tests.faults import faulty

WARM = (
    "agent_host.cli.main",
    "agent_host.cli.run",
    "agent_host.cli.transcripts",
    "agent_host.cli.transcripts_list",
    "agent_host.cli.transcripts_show",
    "agent_host.cli.audit",
    "agent_host.cli.audit_verify",
    "agent_host.models.script",
    "agent_host.servers.connection",
    "pydantic",
)


def become(job):
    """Be the program of a job; never returns."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    for number, name in enumerate(("/dev/null", job["out"], job["err"])):
        flags = os.O_RDWR | (os.O_CREAT if number else 0)
        os.dup2(os.open(name, flags, 0o600), number)
    for stream in job.get("closed", ()):
        os.close(stream)
    for name, most in job.get("limits", {}).items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
    faulty.arm(faulty.Fault(**job.get("fault", {})))
    sys.argv = ["agent-host", *job["arguments"]]
    import_module("agent_host.cli.main").script()


def main():
    faulty.install()
    for name in WARM:
        import_module(name)
    measured = coverage.Coverage.current()
    if measured is not None:
        measured.save()  # once: what the imports ran would be written by each program again
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if not pid:
            become(job)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
