"""A plugin whose native library is missing."""

raise ImportError("libbroken.so is not installed")
