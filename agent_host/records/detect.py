"""Secrets that nobody named: found by their form."""
