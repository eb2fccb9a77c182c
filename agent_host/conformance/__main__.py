"""`python -m agent_host.conformance URL`: see the package."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from agent_host.conformance.settings import read_case
from agent_host.conformance.visit import visit


def main() -> int:
    """Visit the server at the last argument; 0 if there was a connection."""
    told: list[str] = []
    with tempfile.TemporaryDirectory() as store:
        case = read_case(sys.argv[-1], os.environ, Path(store))
        connected = asyncio.run(visit(case, os.environ, told))
    print("\n".join(told))
    return 0 if connected else 1


if __name__ == "__main__":
    sys.exit(main())
