"""Operators of the domain com.microsoft, one module each."""

CML_API = "1.0"
