"""Compilers: an integer program becomes a circuit on encrypted integers."""
