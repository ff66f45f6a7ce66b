"""Operators of the domain example.org, one module each."""
