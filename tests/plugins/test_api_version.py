"""Which version of the plugin API a plugin was written for, and what becomes of it."""

import re
import warnings
from pathlib import Path

import pytest

from cml_core import plugin_api
from cml_core.plugins import api_version
from cml_core.plugins.deprecation import Deprecated, PluginApiDeprecationWarning
from cml_core.plugins.discovery import OPERATORS, PluginWarning, load_group
from tests.plugins.conftest import point, source

#: What came into the API with each version. A line is only taken away with the next first number.
NAMES = {
    "1.0": """
        API_VERSION UNKNOWN AttributeValueError Body Bounds CalibrationHook
        CalibrationRecorder Decode ElementwiseQuantizedOp EncryptedTensor GraphWriter Grid
        Interval LoweringContext MovementQuantizedOp NumpyOp OpExample OpKey OpKind OpPlugin
        OpSchema Opcode Preparation QuantizedOp Subgraph add affine binary_digits
        broadcast_to check_size choose_grid conv conv_nd demand_steps elementwise hookimpl
        lookup lookup_complexity matmul matmul_encrypted maximum minimum move multiply
        of_difference pack requantize reshape signed_digits subtract sum_ transpose
        window_view
    """,
}
GUIDE = Path(__file__).parents[2] / "docs" / "plugin-api.md"


def load(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        return {p.name: p for p in load_group(OPERATORS, entry_points=[point(module)])}


def declaring(version):
    return f"CML_API = {version!r}\n{source('One')}"


@pytest.mark.parametrize("version", ["1.0", "1", 1])
def test_a_declared_version_is_recorded(write, version):
    write({"one.py": declaring(version), "two.py": source("Two")})
    assert load("one")["one"].api == "1.0"
    assert load("two")["two"].api == "", "none is declared"


@pytest.mark.parametrize("version", ["3", "3.0", 3])
def test_a_plugin_from_the_future_is_left_out_and_told_so(write, version):
    write({"one.py": declaring(version)})
    plugin = load("one")["one"]
    assert plugin.status == "failed"
    assert plugin.error == "it was written for plugin API 3.0, and this cml has 1.0"
    assert plugin.hint == "Upgrade cml, or install a version of the plugin for API 1.0."


@pytest.mark.parametrize(
    "after",
    [
        "from cml_core.plugin_api import what_is_not_written_yet\n",
        "import no_such_library_at_all\n",
        "this is the syntax of a later Python\n",
    ],
)
def test_the_version_counts_even_if_the_module_cannot_be_imported(write, after):
    write({"one.py": f"CML_API: str = '2.1'\n{after}{source('One')}"})
    plugin = load("one")["one"]
    assert plugin.error == "it was written for plugin API 2.1, and this cml has 1.0"
    assert plugin.traceback, "what was raised is kept"


def test_the_hook_of_such_a_plugin_is_not_called(write):
    text = "import pack\npack.called = True\n"
    write({"pack/__init__.py": "CML_API = '9.0'\n", "pack/one.py": text})
    assert set(load("pack")) == {"pack"}, "its modules are not even imported"


def test_a_package_declares_for_its_modules_and_a_module_for_itself(write):
    write(
        {
            "pack/__init__.py": "CML_API = '1.0'",
            "pack/a.py": source("A"),
            "pack/b.py": "CML_API = '1.7'\n" + source("B"),
            "pack/inner/__init__.py": "",
            "pack/inner/c.py": source("C"),
        }
    )
    plugins = load("pack")
    assert {name: (p.status, p.api) for name, p in plugins.items()} == {
        "pack.a": ("loaded", "1.0"),
        "pack.b": ("failed", ""),
        "pack.inner.c": ("loaded", "1.0"),
    }


def test_a_plugin_for_an_api_that_is_gone_is_left_out(write, monkeypatch):
    monkeypatch.setattr(api_version, "API_VERSION", "2.3")
    monkeypatch.setattr(api_version, "OLDEST_API", "2.0")
    write({"old.py": declaring("1.4"), "silent.py": source("Two"), "new.py": declaring("2.1")})
    plugin = load("old")["old"]
    assert plugin.error == (
        "it was written for plugin API 1.4, and this cml has 2.3, which serves plugins from 2.0 on"
    )
    assert plugin.hint == "Upgrade the plugin, or install an older cml."
    assert load("silent")["silent"].status == "failed", "undeclared counts as 1.0"
    assert load("new")["new"].status == "loaded"


@pytest.mark.parametrize("version", [1.0, "one", "1.0.0", True, ("1", "0")])
def test_what_is_no_version_is_told(write, version):
    write({"one.py": declaring(version)})
    assert load("one")["one"].error == f"its CML_API is {version!r}, expected text such as '1.0'"


# --- deprecation ---


def test_the_guide_names_the_version_and_the_words():
    text = GUIDE.read_text()
    assert f"is **{plugin_api.API_VERSION}**" in text
    assert api_version.DECLARATION in text
    assert PluginApiDeprecationWarning.__name__ in text


def test_everything_in_the_api_is_there_and_in_order():
    assert plugin_api.__all__ == sorted(plugin_api.__all__, key=_constants_first)
    for name in plugin_api.__all__:
        assert getattr(plugin_api, name) is not None


def _constants_first(name):
    kind = 0 if name.isupper() else 1 if re.match("[A-Z]", name) else 2
    return kind, name


def test_what_was_promised_is_still_there():
    major, _, minor = plugin_api.API_VERSION.partition(".")
    for version, names in NAMES.items():
        assert version.partition(".")[0] == major, "of an API that is gone"
        assert set(names.split()) <= set(plugin_api.__all__), version
    told = {name for names in NAMES.values() for name in names.split()}
    assert told == set(plugin_api.__all__), "what is new is promised from a version on"
    assert int(minor) == max(int(version.partition(".")[2]) for version in NAMES)


def test_what_is_deprecated_works_and_becomes_a_note(write, monkeypatch):
    gone = Deprecated(plugin_api.OpPlugin, since="1.2", gone="2.0", instead="OpPlugin")
    monkeypatch.setitem(plugin_api._DEPRECATED, "Plugin", gone)
    told = "cml_core.plugin_api.Plugin is deprecated since plugin API 1.2 and gone in 2.0: use OpP"
    with pytest.warns(PluginApiDeprecationWarning, match=re.escape(told)) as warned:
        assert plugin_api.Plugin is plugin_api.OpPlugin
    assert warned[0].filename == __file__
    write({"one.py": "from cml_core.plugin_api import Plugin\n" + source("One")})
    plugin = load("one")["one"]
    assert plugin.status == "loaded"
    (note,) = plugin.notes
    assert note.startswith(f"deprecated: {told}")


def test_other_warnings_of_a_plugin_are_shown_as_ever(write):
    write(
        {"one.py": "import warnings\nwarnings.warn('mind the gap', RuntimeWarning)\n" + source("A")}
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        (plugin,) = load_group(OPERATORS, entry_points=[point("one")])
    assert [(str(w.message), w.category) for w in caught] == [("mind the gap", RuntimeWarning)]
    assert plugin.notes == ()
