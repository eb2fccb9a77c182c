"""`agent-host completion`: what makes a shell complete commands, options and names.

Theory of operation: the shell's own script, which calls this program at each Tab, is made by
argcomplete; what may stand at the cursor is found by `completing`.
"""

import argparse
import sys

from argcomplete.shell_integration import shellcode

from agent_host.core.errors import ExitStatus

SHELLS = {
    "bash": 'eval "$(agent-host completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(agent-host completion zsh)"   # in ~/.zshrc, after compinit',
    "fish": "agent-host completion fish | source   # in ~/.config/fish/config.fish",
}
"""Shell -> the line that switches it on, and where it belongs."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "Put one line into your shell's start-up file:\n" + "".join(
        f"  {line}\n" for line in SHELLS.values()
    )
    parser.add_argument("shell", choices=tuple(SHELLS), help="for which shell")


def execute(options: argparse.Namespace) -> int:
    """Print the script and return the exit status."""
    sys.stdout.write(shellcode(["agent-host"], shell=options.shell))
    if sys.stdout.isatty():
        sys.stderr.write(f"\nagent-host: to switch it on: {SHELLS[options.shell]}\n")
    return ExitStatus.DONE
