"""A small host process for the orphan tests: starts hostile servers, says READY, then waits.

`--leave` exits through the pool; otherwise it waits for a signal. `--early` stops before the event
loop runs, right after the processes were started.
"""

import argparse
import asyncio
import signal
import sys
import time

from tests.fakes.hosting import hostile, make_pool


async def serve(pool, leave):
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    async with pool:
        await pool.ready()
        sys.stdout.write("READY\n")
        sys.stdout.flush()
        if not leave:
            await stop.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pids")
    parser.add_argument("modes", nargs="+")
    parser.add_argument("--leave", action="store_true")
    parser.add_argument("--early", action="store_true")
    options = parser.parse_args()
    specs = [
        hostile(mode, "--pids", options.pids, name=f"s{i}") for i, mode in enumerate(options.modes)
    ]
    pool = make_pool(*specs)
    pool.spawn()
    if options.early:
        sys.stdout.write("READY\n")
        sys.stdout.flush()
        time.sleep(600)
    asyncio.run(serve(pool, options.leave))


if __name__ == "__main__":
    main()
