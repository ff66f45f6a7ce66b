"""Configuration of the documentation."""

from __future__ import annotations

project = "cml"
author = "the cml contributors"
extensions = ["myst_parser"]
html_theme = "furo"
exclude_patterns = ["_build", "examples"]
myst_heading_anchors = 3
