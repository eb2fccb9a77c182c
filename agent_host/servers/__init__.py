"""Servers: see `spec` for the theory of operation of this room."""
