"""`python -m agent_host` is `agent-host`."""

from agent_host.cli.main import script

if __name__ == "__main__":
    script()
