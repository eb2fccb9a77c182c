"""Servers that a registry publishes: found, looked at, and turned into something to configure."""
