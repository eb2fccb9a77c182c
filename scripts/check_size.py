"""Fail on files and functions that have grown too large to be read in one go.

A file of more than 500 lines is reported, of more than 800 fails; a function of more than 60
lines fails. Blank lines and docstrings count: they have to be read too.
"""

import ast
import sys
from pathlib import Path

FILE_WANTED = 500
FILE_LIMIT = 800
FUNCTION_LIMIT = 60
FOLDERS = ("agent_host", "bench", "scripts", "tests")


def findings(name: str, source: str) -> tuple[list[str], list[str]]:
    """Return what fails and what is only reported about one file's source."""
    failures, reports = [], []
    lines = source.count("\n")
    if lines > FILE_LIMIT:
        failures.append(f"{name}:1: {lines} lines; a file has at most {FILE_LIMIT}: split it")
    elif lines > FILE_WANTED:
        reports.append(f"{name}:1: {lines} lines; {FILE_WANTED} are wanted")
    for node in ast.walk(ast.parse(source, name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LIMIT:
                failures.append(
                    f"{name}:{node.lineno}: {node.name} has {length} lines; "
                    f"a function has at most {FUNCTION_LIMIT}"
                )
    return failures, reports


def main(root: Path) -> int:
    """Check every Python file below the folders of `root`; 1 if any of them fails."""
    failures, reports, count = [], [], 0
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            count += 1
            found = findings(str(path.relative_to(root)), path.read_text(encoding="utf-8"))
            failures += found[0]
            reports += found[1]
    for line in reports + failures:
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{count} files, {len(reports)} large, {len(failures)} too large\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
