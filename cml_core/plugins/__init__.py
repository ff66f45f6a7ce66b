"""How plugins are found, isolated and gathered into an immutable registry."""
