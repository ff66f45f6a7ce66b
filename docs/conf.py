"""Configuration of the documentation; `make docs` builds it, with warnings as errors."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import attrs
from sphinx.application import Sphinx

project = "cml"
author = "the cml contributors"
release = version = metadata.version("cml")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "examples"]
nitpicky = True
# In docstrings, `name` is a link if it is documented, and plain code if not.
default_role = "py:obj"
nitpick_ignore_regex = [
    ("py:obj", ".*"),
    # Types of other packages, words such as `optional`, and classes that are no part of the API.
    ("py:(class|exc|data|func)", r"(?!cml_|~cml_).*"),
    ("py:class", r"cml_core\.(calibration|fhe|graph|ops|plugins|program|quantization)\..*"),
]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
add_module_names = False
napoleon_google_docstring = False
napoleon_use_rtype = False

# Prompts and printed output are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_title = "cml"
html_favicon = "_static/icon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": False}


def add_fields(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """List the fields of an attrs class whose docstring does not."""
    if not isinstance(obj, type) or not attrs.has(obj):
        return
    described = {line.split(":")[1] for line in lines if line.startswith((":param", ":type"))}
    if described or any(line.startswith(".. attribute::") for line in lines):
        return
    fields = [field for field in attrs.fields(obj) if not field.name.startswith("_")]
    if fields and lines and lines[-1]:
        lines.append("")
    for field in fields:
        kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")
        empty = field.default == "" and field.default is not attrs.NOTHING
        lines.append(f":param {field.name}: {'May be empty.' if empty else ''}".rstrip())
        lines.append(f":type {field.name}: {kind}")


def leave_out_of_navigation(app: Sphinx, doctree: Any) -> None:
    """Let no page of a single operator be missed in the navigation: their index is in it."""
    name = app.env.current_document.docname
    if name.startswith("operators/") and name != "operators/index":
        app.env.metadata[name]["orphan"] = True


def lead_to_operators(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Show on an operator's page where it belongs, and the way back."""
    if not pagename.startswith("operators/") or pagename == "operators/index":
        return
    entry = '<li class="toctree-l1"><a class="reference internal" href="index.html">'
    tree = context["furo_navigation_tree"]
    context["furo_navigation_tree"] = tree.replace(entry, entry.replace("l1", "l1 current-page"))
    context["prev"] = {"link": "index.html", "title": "Operators"}


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the functions above."""
    app.connect("autodoc-process-docstring", add_fields, priority=900)
    app.connect("doctree-read", leave_out_of_navigation)
    app.connect("html-page-context", lead_to_operators, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
