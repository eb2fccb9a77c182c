"""Conditions in CEL."""
