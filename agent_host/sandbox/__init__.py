"""Sandboxes for programs that are servers."""
