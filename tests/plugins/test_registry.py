"""The registry: one plugin for each operator revision, whatever order they came in."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_core.errors import DuplicateOperatorError, PluginError
from cml_core.ops.schema import OpKey, OpSchema
from cml_core.plugins.discovery import LoadedPlugin, PluginWarning
from cml_core.plugins.registry import OpRegistry, default_registry
from tests.models import loaded, plugin


def registry(**plugins):
    return OpRegistry.from_plugins([loaded(name, p) for name, p in plugins.items()])


def winners(table):
    return {str(key): entry.name for key, entry in table.ops.items()}


# --- who serves what ---


def test_each_revision_is_a_key_of_its_own():
    table = registry(old=plugin("Clip", (6,)), new=plugin("Clip", (11, 13)))
    assert winners(table) == {"test::Clip-6": "old", "test::Clip-11": "new", "test::Clip-13": "new"}
    assert [entry.name for entry in table.find("Clip", "test")] == ["old", "new"]
    assert [entry.name for entry in table] == ["old", "new"]
    assert table.find("Clip") == table.find("clip", "test") == ()


def test_two_plugins_for_one_revision_are_refused_and_both_are_named():
    with pytest.raises(DuplicateOperatorError) as raised:
        registry(one=plugin("Cube", (1, 2)), two=plugin("Cube", (2, 3)))
    assert raised.value.plugins == ("one", "two")
    assert raised.value.key == "test::Cube-2"
    for part in ("'one'", "'two'", "test::Cube-2", "CML_DISABLE_PLUGINS", "overrides"):
        assert part in str(raised.value)


def test_a_declared_override_wins_for_the_revisions_that_it_provides():
    table = registry(a=plugin("Cube", (1, 2)), b=plugin("Cube", (2,), overrides="a"))
    assert winners(table) == {"test::Cube-1": "a", "test::Cube-2": "b"}


def test_an_override_may_itself_be_overridden():
    table = registry(
        a=plugin("Cube"), b=plugin("Cube", overrides="a"), c=plugin("Cube", overrides="b")
    )
    assert winners(table) == {"test::Cube-1": "c"}


@pytest.mark.parametrize("target", ["absent", "other", "b"], ids=["absent", "unrelated", "itself"])
def test_an_override_of_what_provides_none_of_its_revisions_is_refused(target):
    with pytest.raises(PluginError) as raised:
        registry(a=plugin("Cube"), b=plugin("Cube", overrides=target), other=plugin("Something"))
    assert raised.value.plugin == "b"
    if target == "b":
        assert raised.value.reason == "it overrides itself"
    else:
        assert f"it overrides {target!r}, which provides none" in raised.value.reason
        assert raised.value.hint == "Other plugins for this operator: a."


@pytest.mark.parametrize("status", ["blocked", "failed"])
def test_an_override_stands_in_for_a_plugin_that_is_not_there(status):
    absent = LoadedPlugin("a", status=status, error="gone")
    table = OpRegistry.from_plugins([absent, loaded("b", plugin("Cube", overrides="a"))])
    assert winners(table) == {"test::Cube-1": "b"}


@pytest.mark.parametrize(
    "overrides",
    [{"b": "a", "c": "a"}, {"a": "b", "b": "a"}, {"a": "b", "b": "a", "c": "a"}],
    ids=["two of one", "each other", "a circle and one more"],
)
def test_overrides_that_settle_nothing_are_refused(overrides):
    with pytest.raises(DuplicateOperatorError):
        registry(**{name: plugin("Cube", overrides=overrides.get(name)) for name in "abc"})


@given(st.permutations(range(6)), st.integers(0, 2**6 - 1))
def test_the_order_of_plugins_changes_nothing(order, present):
    plugins = [
        loaded("a", plugin("Cube", (1, 2))),
        loaded("b", plugin("Cube", (2, 5), overrides="a")),
        loaded("c", plugin("Cube", (1,), overrides="a")),
        loaded("d", plugin("Square", (1,))),
        LoadedPlugin("e", status="failed", error="ImportError: gone"),
        loaded("f", plugin("Square", (1,))),
    ]

    def outcome(chosen):
        try:
            table = OpRegistry.from_plugins(chosen)
        except (DuplicateOperatorError, PluginError) as error:
            return str(error)
        return list(winners(table).items()), [p.name for p in table.plugins]

    chosen = [k for k in range(6) if present >> k & 1]
    straight = outcome([plugins[k] for k in chosen])
    shuffled = outcome([plugins[k] for k in order if k in chosen])
    assert straight == shuffled


def test_the_registry_cannot_be_changed():
    given_ops = dict(default_registry().ops)
    table = OpRegistry(given_ops)
    key = OpKey("", "Relu", 14)
    given_ops.pop(key)
    assert key in table.ops
    with pytest.raises(TypeError):
        table.ops[key] = None
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        table.ops = {}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        table.ops[key].plugin.numpy_op = None


def test_the_installed_operators_are_gathered_once():
    assert default_registry() is default_registry()
    assert len(default_registry()) == len(default_registry().ops) > 0


# --- which revision is in force ---


@pytest.mark.parametrize(
    ("opset", "revision"), [(7, 6), (9, 6), (12, 6), (13, 13), (14, 14), (17, 14)]
)
@pytest.mark.parametrize("domain", ["", "ai.onnx"])
def test_the_revision_in_force_is_the_one_that_onnx_says(domain, opset, revision):
    key, entry = default_registry().resolve(domain, "Relu", opset)
    assert key == OpKey("", "Relu", revision)
    assert entry.name == "cml_ops_builtin.relu"


@pytest.mark.parametrize(("opset", "revision"), [(1, 1), (2, 1), (3, 3), (99, 3)])
def test_in_a_domain_that_onnx_does_not_know_the_newest_registered_revision_counts(opset, revision):
    table = registry(a=plugin("Cube", (1, 3)))
    key, _ = table.resolve("test", "Cube", opset)
    assert key.since_version == revision
    assert table.resolve("elsewhere", "Cube", opset) is None


def test_a_revision_that_nobody_implemented_is_never_guessed():
    table = registry(a=plugin("Relu", (6, 14), domain=""))
    assert table.resolve("", "Relu", 12) is not None
    assert table.resolve("", "Relu", 13) is None
    unsupported = table.explain_missing("act", "", "Relu", 13)
    assert (unsupported.node, unsupported.operator) == ("act", "Relu")
    assert unsupported.reason == (
        "no plugin implements revision 13 (opset 13) of Relu; implemented are 6, 14"
    )
    assert unsupported.hint == "Export the model at opset 14 and newer or 6 to 12 (plugin 'a')."


@pytest.mark.parametrize(
    ("domain", "op_type", "opset", "reason", "hint"),
    [
        ("", "Upsample", 10, "deprecated it in opset 10", "before 10"),
        ("", "GroupNormalization", 18, "deprecated it in opset 18", "opset 21 or newer"),
        ("", "Gelu", 13, "came into ai.onnx with opset 20", "opset 20 or newer"),
        ("ai.onnx", "Rellu", 13, "ONNX has no operator 'Rellu' in ai.onnx opset 13", "spelling"),
        ("ai.onnx.ml", "Relu", 3, "ONNX has no operator 'Relu' in ai.onnx.ml opset 3", "domain"),
        ("", "Loop", 13, "no plugin provides Loop", "Install a plugin"),
        ("test", "Nothing", 1, "no plugin provides Nothing", "Install a plugin"),
        (
            "test",
            "Cube",
            2,
            "no plugin implements opset 2 of Cube; implemented are 3",
            "revision 3",
        ),
    ],
)
def test_what_is_missing_comes_with_the_reason_and_a_remedy(domain, op_type, opset, reason, hint):
    table = registry(a=plugin("Cube", (3,)))
    assert table.resolve(domain, op_type, opset) is None
    unsupported = table.explain_missing("node", domain, op_type, opset)
    assert reason in unsupported.reason
    assert hint in unsupported.hint
    assert f"node 'node' ({unsupported.operator})" in unsupported.describe()


def absent(*names, status="failed"):
    return [LoadedPlugin(name, status=status, error="ImportError: no scipy") for name in names]


def test_failed_and_blocked_plugins_are_quoted_where_an_operator_is_missing():
    table = OpRegistry.from_plugins([*absent("odd"), *absent("ops.square", status="blocked")])
    hint = table.explain_missing("node", "test", "Cube", 1).hint
    assert "Plugin 'odd' failed to load (ImportError: no scipy)." in hint
    assert "Plugin 'ops.square' is blocked." in hint


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        ("blocked", "Plugin 'ops.cube' is blocked."),
        ("failed", "Plugin 'ops.cube' failed to load (ImportError: no scipy)."),
    ],
)
def test_where_a_plugin_of_that_name_is_absent_that_is_the_cause_and_nothing_is_guessed(
    status, cause
):
    cubes = loaded("cubes", plugin("Cubes"))
    table = OpRegistry.from_plugins([*absent("odd"), *absent("ops.cube", status=status), cubes])
    assert table.explain_missing("node", "test", "Cube", 1).hint == cause
    elsewhere = loaded("elsewhere", plugin("Cube"))
    table = OpRegistry.from_plugins([*absent("ops.cube", status=status), elsewhere])
    hint = table.explain_missing("node", "com.example", "Cube", 1).hint
    assert hint == f"{cause} Plugin 'elsewhere' provides Cube of test, in float only."


def test_only_some_are_quoted_and_the_one_of_that_name_alone():
    table = OpRegistry.from_plugins(absent("a", "b", "c", "d", "e", "ops.tree_cube_6"))
    assert "'ops.tree_cube_6'" in table.explain_missing("node", "test", "TreeCube", 1).hint
    assert "'a'" not in table.explain_missing("node", "test", "TreeCube", 1).hint
    hint = table.explain_missing("node", "test", "Cube", 1).hint
    assert hint.count("failed to load") == 3
    assert "3 more plugins failed or are blocked" in hint


@pytest.mark.parametrize(
    ("domain", "op_type", "opset", "told"),
    [
        ("com.example", "Cube", 1, "Plugin 'a' provides Cube of test, in float only."),
        ("com.example", "Relu", 1, "Plugin 'r' provides Relu of ai.onnx."),
        ("test", "Cubes", 1, "Did you mean Cube?"),
        ("test", "cube", 1, "Did you mean Cube?"),
        ("", "Rellu", 13, "Did you mean Relu?"),
        ("", "Relu", 13, "at opset 14 and newer or 6 to 12 (plugin 'r')"),
        ("test", "Cube", 2, "at an opset that uses revision 3 (plugin 'a')"),
    ],
)
def test_plugins_that_nearly_serve_it_are_proposed(domain, op_type, opset, told):
    def quantized(ctx, x):
        return (x,)

    relu = plugin("Relu", (6, 14), domain="", quantized_op=quantized)
    table = registry(a=plugin("Cube", (3,)), r=relu)
    assert told in table.explain_missing("node", domain, op_type, opset).hint


# --- plugins that contradict each other ---


def test_a_contested_revision_is_left_to_none_and_never_guessed():
    found = [loaded("a", plugin("Cube", (1, 2))), loaded("b", plugin("Cube", (2, 3)))]
    table = OpRegistry.from_plugins(found, strict=False)
    assert winners(table) == {"test::Cube-1": "a", "test::Cube-3": "b"}
    assert dict(table.contested) == {OpKey("test", "Cube", 2): ("a", "b")}
    assert table.resolve("test", "Cube", 2) is None, "not revision 1 in its place"
    unsupported = table.explain_missing("node", "test", "Cube", 2)
    assert unsupported.reason == "plugins 'a' and 'b' both provide revision 2 of Cube"
    assert "CML_DISABLE_PLUGINS" in unsupported.hint
    assert "overrides='a'" in unsupported.hint
    assert table.resolve("test", "Cube", 3)[1].name == "b"


def test_a_wrong_override_fails_alone():
    found = [
        loaded("a", plugin("Cube")),
        loaded("b", plugin("Square", overrides="a")),
        loaded("c", plugin("Square", overrides="b")),
    ]
    table = OpRegistry.from_plugins(found, strict=False)
    assert winners(table) == {"test::Cube-1": "a", "test::Square-1": "c"}
    (failed,) = (p for p in table.plugins if p.status == "failed")
    assert (failed.name, failed.provides) == ("b", None)
    assert "it overrides 'a'" in failed.reason


def test_plugins_given_by_hand_come_first_and_change_nothing_else():
    before = registry(one=plugin("Cube", (1, 2)), two=plugin("Square"))
    after = before.with_plugins(plugin("Cube", (2, 3)), plugin("Root"))
    assert winners(after) == {
        "test::Cube-1": "one",
        "test::Cube-2": "with_plugins[0]",
        "test::Cube-3": "with_plugins[0]",
        "test::Root-1": "with_plugins[1]",
        "test::Square-1": "two",
    }
    assert winners(before)["test::Cube-2"] == "one"
    contested = OpRegistry.from_plugins(
        [loaded("a", plugin("Cube")), loaded("b", plugin("Cube"))], strict=False
    )
    assert contested.with_plugins(plugin("Cube")).contested == {}


def test_plugins_given_by_hand_are_checked():
    with pytest.raises(DuplicateOperatorError):
        registry().with_plugins(plugin("Cube"), plugin("Cube"))
    with pytest.raises(PluginError, match="ONNX has no operator 'Cube'"):
        registry().with_plugins(plugin("Cube", domain=""))


def test_contradictions_are_told_in_warnings_unless_they_are_fatal(monkeypatch):
    found = [
        loaded("a", plugin("Cube", (1, 2))),
        loaded("b", plugin("Cube", (1, 2))),
        loaded("c", plugin("Square", overrides="c")),
    ]
    monkeypatch.setattr("cml_core.plugins.registry.load_group", lambda group: found)
    with pytest.warns(PluginWarning) as warned:
        default_registry.__wrapped__()
    assert [str(w.message).partition(" Block")[0] for w in warned] == [
        "plugin 'c' was left out: it overrides itself",
        "plugins 'a' and 'b' both provide test::Cube-1, test::Cube-2.",
    ]
    monkeypatch.setenv("CML_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError):
        default_registry.__wrapped__()


def test_the_default_registry_reads_the_environment_once(monkeypatch):
    before = default_registry()
    monkeypatch.setenv("CML_DISABLE_PLUGINS", "cml_ops_builtin")
    assert default_registry() is before
    default_registry.cache_clear()
    try:
        assert default_registry().find("Relu") == ()
    finally:
        default_registry.cache_clear()


@pytest.mark.parametrize("versions", [1, "13", ("1",), (0,), (), (3, 1), (1, 1), (True,), None])
def test_wrong_revisions_are_named_with_right_ones(versions):
    with pytest.raises(ValueError, match=r"since_versions must be .*; \(1,\) and \(7, 13\) are"):
        OpSchema("Odd", versions, domain="test")


def test_revisions_may_be_a_list():
    assert OpSchema("Odd", [7, 13], domain="test").since_versions == (7, 13)
