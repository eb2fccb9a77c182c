"""A host in a process of its own, whose memory can be measured: calls one tool of one server.

`measured_host.py stdio MODE` or `http URL`; prints what came of the call, and the most memory that
the process ever had, as JSON.
"""

import asyncio
import json
import resource
import sys

from agent_host.servers.spec import HttpSpec
from tests.fakes.hosting import call, hostile, running, said


async def visit(spec):
    async with running(spec) as pool:
        if "h__echo" not in pool.tools():
            return {"tools": len(pool.tools()), "problems": pool.health()[0].problems}
        result = await call(pool, text="hi")
        return {"error": result.error, "said": said(result)[:200]}


def main():
    limits = {"connect_timeout": 10, "call_timeout": 10}
    kind, what = sys.argv[1:]
    spec = hostile(what, **limits) if kind == "stdio" else HttpSpec(name="h", url=what, **limits)
    outcome = asyncio.run(visit(spec))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({**outcome, "kib": most}))


if __name__ == "__main__":
    main()
