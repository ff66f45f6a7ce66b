"""Operators of the domain example.org, one module each."""

CML_API = "1.0"
