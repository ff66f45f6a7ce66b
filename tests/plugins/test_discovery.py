"""Finding plugins, and keeping a broken one from harming the others."""

import re
import subprocess
import sys

import pytest

from cml_core.errors import ConfigError, PluginError
from cml_core.ops.plugin import OpPlugin
from cml_core.plugins.discovery import (
    BACKENDS,
    IMPORTERS,
    OPERATORS,
    PluginWarning,
    load_group,
    strict_from_environment,
)
from cml_core.plugins.registry import OpRegistry, default_registry
from tests.plugins.conftest import point, source

HOOK = "from cml_core.plugin_api import hookimpl\n@hookimpl\ndef cml_op({}):\n    {}\n"
BROKEN = {
    "import error": ("import no_such_library_at_all", "ModuleNotFoundError: No module named"),
    "any error at import": ("1 / 0", "ZeroDivisionError: division by zero"),
    "syntax error": ("def", "SyntaxError"),
    "SystemExit at import": ("import sys\nsys.exit('enough')", "SystemExit: enough"),
    "no hook": ("x = 1", r"it has no cml_op\(\) marked with hookimpl"),
    "hook without hookimpl": ("def cml_op():\n    return 1", "it has no cml_op"),
    "wrong type": (HOOK.format("", "return 'Relu'"), r"cml_op\(\) returned str, exp"),
    "nothing returned": (HOOK.format("", "pass"), "returned NoneType, expected OpPlugin"),
    "hook raises": (HOOK.format("", "raise KeyError('here')"), "KeyError: 'here'"),
    "hook exits": (HOOK.format("", "raise SystemExit"), "SystemExit"),
    "hook of a wrong signature": (
        HOOK.format("registry", "return 1"),
        r"PluginValidationError: .*'registry'.* declared in the hookimpl but can not be found",
    ),
    "an error of several lines": ("raise ValueError('one\\n  two')", "ValueError: one two"),
}


@pytest.fixture(params=BROKEN, ids=lambda case: case.replace(" ", "_"))
def broken(request, write):
    """A package with one healthy module and one that is broken; gives the expected error."""
    text, error = BROKEN[request.param]
    write({"pack/__init__.py": "", "pack/good.py": source("Good"), "pack/rotten.py": text})
    return error


def load(*modules, **options):
    points = [point(module, f"entry{k}") for k, module in enumerate(modules)]
    return load_group(OPERATORS, entry_points=points, **options)


def states(plugins):
    return {plugin.name: plugin.status for plugin in plugins}


# --- finding ---


def test_an_entry_point_may_name_a_module(write):
    write({"single.py": source("Single")})
    (plugin,) = load("single")
    assert (plugin.name, plugin.status) == ("single", "loaded")
    assert isinstance(plugin.provides, OpPlugin)


def test_each_public_module_of_a_package_is_a_plugin_of_its_own(write):
    hidden = "raise RuntimeError('a private module was imported')"
    write(
        {
            "pack/__init__.py": "",
            "pack/b.py": source("B"),
            "pack/a.py": source("A"),
            "pack/_private.py": hidden,
            "pack/_shared/__init__.py": hidden,
            "pack/inner/__init__.py": "",
            "pack/inner/c.py": source("C"),
            "pack/inner/_private.py": hidden,
        }
    )
    plugins = load("pack")
    assert states(plugins) == dict.fromkeys(["pack.a", "pack.b", "pack.inner.c"], "loaded")
    assert {p.provides.schema.op_type for p in plugins} == {"A", "B", "C"}


def test_a_package_needs_no_init_file(write):
    write({"bare/a.py": source("A")})
    assert states(load("bare")) == {"bare.a": "loaded"}


def test_a_package_that_defines_the_hook_itself_is_a_plugin_too(write):
    write(
        {
            "own/__init__.py": source("Own"),
            "own/a.py": source("A"),
            "both/__init__.py": "from both.b import cml_op",
            "both/b.py": source("B"),
        }
    )
    assert states(load("own")) == {"own": "loaded", "own.a": "loaded"}
    assert states(load("both")) == {"both.b": "loaded"}
    write({"half/__init__.py": HOOK.format("", "1 / 0"), "half/a.py": source("A")})
    with pytest.warns(PluginWarning, match="ZeroDivisionError"):
        assert states(load("half")) == {"half": "failed", "half.a": "loaded"}


def test_installed_distributions_are_found_and_named_as_the_origin(write):
    write(
        {
            "single.py": source("Single"),
            "my_ops-2.5.dist-info/METADATA": "Metadata-Version: 2.1\nName: my-ops\nVersion: 2.5\n",
            "my_ops-2.5.dist-info/entry_points.txt": "[cml.ops]\nsingle = single\n",
        }
    )
    plugins = {plugin.name: plugin for plugin in load_group(OPERATORS)}
    assert (plugins["single"].distribution, plugins["single"].version) == ("my-ops", "2.5")
    assert plugins["cml_ops_builtin.relu"].distribution == "cml"


def test_a_module_that_two_entry_points_name_is_loaded_once(write):
    write({"pack/__init__.py": "", "pack/a.py": source("A")})
    assert states(load("pack", "pack", "pack.a")) == {"pack.a": "loaded"}


def test_every_installed_plugin_loads():
    for group in (OPERATORS, BACKENDS, IMPORTERS):
        assert [p for p in load_group(group, blocked=(), strict=True) if p.status != "loaded"] == []


# --- isolation ---


def test_a_broken_plugin_is_recorded_and_named_in_one_warning(broken):
    with pytest.warns(PluginWarning, match=r"'pack\.rotten'") as warned:
        plugins = load("pack")
    assert len(warned) == 1
    assert states(plugins) == {"pack.good": "loaded", "pack.rotten": "failed"}
    rotten = next(p for p in plugins if p.status == "failed")
    assert rotten.provides is None
    assert "\n" not in rotten.error
    assert re.search(broken, rotten.error)


def test_strict_makes_it_fatal(broken):
    with pytest.raises(PluginError, match=broken) as raised:
        load("pack", strict=True)
    assert raised.value.plugin == "pack.rotten"


@pytest.mark.parametrize("broken_init", ["raise ImportError('gone')", "raise SystemExit"])
def test_a_broken_package_does_not_hide_its_neighbours(write, broken_init):
    write(
        {
            "pack/__init__.py": "",
            "pack/good.py": source("Good"),
            "pack/rotten/__init__.py": broken_init,
            "pack/rotten/a.py": source("A"),
        }
    )
    with pytest.warns(PluginWarning, match=r"'pack\.rotten'"):
        plugins = load("pack")
    assert states(plugins) == {"pack.good": "loaded", "pack.rotten": "failed"}


@pytest.mark.parametrize("entry", ["absent_module", "absent_package.module", "..", ""])
def test_an_entry_point_without_a_module_fails_alone(write, entry):
    write({"single.py": source("Single")})
    with pytest.warns(PluginWarning) as warned:
        plugins = load(entry, "single")
    assert len(warned) == 1
    assert sorted(states(plugins).values()) == ["failed", "loaded"]


def test_an_interrupt_is_not_held_back(write):
    write({"single.py": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        load("single")


def test_other_groups_expect_their_own_hook(write):
    write({"single.py": source("Single")})
    with pytest.warns(PluginWarning, match="it has no cml_importer"):
        (plugin,) = load_group(IMPORTERS, entry_points=[point("single")])
    assert plugin.status == "failed"


# --- strict and blocked by environment ---


@pytest.mark.parametrize(
    ("text", "strict"), [("1", True), ("TRUE", True), ("0", False), ("", False)]
)
def test_the_environment_may_ask_for_strictness(monkeypatch, write, text, strict):
    monkeypatch.setenv("CML_STRICT_PLUGINS", text)
    write({"rotten.py": "1 / 0"})
    assert strict_from_environment() is strict
    with pytest.raises(PluginError) if strict else pytest.warns(PluginWarning):
        load("rotten")
    with pytest.warns(PluginWarning):  # the argument outweighs the environment
        load("rotten", strict=False)


@pytest.mark.parametrize(
    ("names", "left"),
    [
        ("pack.a", ["pack.b", "pack.inner.c"]),
        ("pack.a pack.b", ["pack.inner.c"]),
        ("pack.b,pack.a", ["pack.inner.c"]),
        ("pack.inner", ["pack.a", "pack.b"]),
        ("pack.inner.c", ["pack.a", "pack.b"]),
        ("pack", []),
        ("pac", ["pack.a", "pack.b", "pack.inner.c"]),
        ("", ["pack.a", "pack.b", "pack.inner.c"]),
    ],
)
def test_plugins_are_blocked_by_module_and_package(monkeypatch, write, names, left):
    write(
        {
            "pack/__init__.py": "",
            "pack/a.py": source("A"),
            "pack/b.py": source("B"),
            "pack/inner/__init__.py": "",
            "pack/inner/c.py": source("C"),
        }
    )
    monkeypatch.setenv("CML_DISABLE_PLUGINS", names)
    found = states(load("pack"))
    assert [name for name, status in found.items() if status == "loaded"] == left
    blocked = [name for name, status in found.items() if status == "blocked"]
    assert sorted(blocked) == sorted(n for n in names.replace(",", " ").split() if n != "pac")


def test_what_is_blocked_is_not_imported(write):
    write(
        {
            "pack/__init__.py": "",
            "pack/a.py": "raise RuntimeError('was imported')",
            "pack/inner/__init__.py": "raise RuntimeError('was imported')",
        }
    )
    assert set(states(load("pack", blocked=["pack.a", "pack.inner"])).values()) == {"blocked"}


@pytest.mark.parametrize("name", ["my-ops", "my_ops", "My.Ops"])
def test_plugins_are_blocked_by_distribution(monkeypatch, write, name):
    write(
        {
            "single.py": "raise RuntimeError('was imported')",
            "my_ops-2.5.dist-info/METADATA": "Metadata-Version: 2.1\nName: my-ops\nVersion: 2.5\n",
            "my_ops-2.5.dist-info/entry_points.txt": "[cml.ops]\nsingle = single\n",
        }
    )
    monkeypatch.setenv("CML_DISABLE_PLUGINS", name)
    found = states(load_group(OPERATORS))
    assert found["single"] == "blocked"
    assert found["cml_ops_builtin.relu"] == "loaded"


def test_a_blocked_builtin_operator_is_gone_from_the_registry():
    plugins = load_group(OPERATORS, blocked=["cml_ops_builtin.relu"])
    assert states(plugins)["cml_ops_builtin.relu"] == "blocked"
    assert OpRegistry.from_plugins(plugins).find("Relu") == ()
    assert default_registry().find("Relu")


def test_a_name_that_blocks_nothing_is_told(monkeypatch):
    monkeypatch.setenv("CML_DISABLE_PLUGINS", "cml_ops_builtin.rleu, cml_ops_builtin.relu torch")
    with pytest.warns(PluginWarning) as caught:
        load_group(OPERATORS)
    told = [str(warning.message) for warning in caught]
    assert sum("CML_DISABLE_PLUGINS" in text for text in told) == 2
    assert any("'cml_ops_builtin.rleu'" in text for text in told)


@pytest.mark.parametrize(("text", "strict"), [("", False), ("0", False), ("TRUE", True)])
def test_strictness_is_yes_or_no(monkeypatch, text, strict):
    monkeypatch.setenv("CML_STRICT_PLUGINS", text)
    assert strict_from_environment() is strict
    monkeypatch.setenv("CML_STRICT_PLUGINS", "banana")
    with pytest.raises(ConfigError, match="expected 1 or 0"):
        strict_from_environment()


def test_threads_that_come_first_load_plugins_once():
    code = """
import io, sys, threading
stdout = sys.stdout
import cml_core as cml
found, start = [], threading.Barrier(6)
def first():
    start.wait()
    found.append(cml.default_registry())
threads = [threading.Thread(target=first) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len({id(registry) for registry in found}) == 1, "loaded more than once"
assert sys.stdout is stdout, "stdout was replaced"
print("done")
"""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert done.stdout == "done\n", done.stderr
