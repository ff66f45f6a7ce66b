import numpy as np
import pytest

import cml_core as cml
from cml_core import NodeConfig, QuantConfig
from cml_core.errors import ConfigError
from tests.networks import mlp, samples


@pytest.mark.parametrize("bits", [0, -1, 17, 2.5, "4", True, None])
def test_impossible_widths_are_refused_by_name(bits):
    with pytest.raises(ConfigError) as caught:
        QuantConfig.with_bits(bits)
    assert caught.value.argument == "n_bits"
    if bits is not None:
        with pytest.raises(ConfigError) as caught:
            QuantConfig(activation_bits=bits)
        assert caught.value.argument == "activation_bits"


@pytest.mark.parametrize(
    "option",
    [
        {"observer": "median"},
        {"ranges": "guessed"},
        {"tail": "both"},
        {"margin": -0.1},
        {"margin": 1e300},
    ],
)
def test_impossible_options_are_refused_by_name(option):
    with pytest.raises(ConfigError) as caught:
        QuantConfig(**option)
    assert caught.value.argument in option


def test_rounding_follows_activation_bits_unless_given():
    assert QuantConfig.with_bits(4).rounding_bits == 5
    assert QuantConfig.with_bits(16).rounding_bits == 16
    assert QuantConfig.with_bits(4, rounding_bits=None).rounding_bits is None


def test_nodes_override_the_model():
    config = QuantConfig.with_bits(4, nodes={"a": {"weight_bits": 2}, "b": NodeConfig()})
    assert config.of_node("a") == NodeConfig(
        weight_bits=2, activation_bits=4, rounding_bits=5, rounding="exact"
    )
    assert config.of_node("b") == config.of_node("unknown")


def test_numpy_integers_are_numbers_of_bits():
    config = QuantConfig.with_bits(np.int64(6))
    assert config == QuantConfig.with_bits(6) and type(config.weight_bits) is int


@pytest.mark.parametrize("nodes", [None, {"a": {"wbits": 3}}, {"a": 3}])
def test_options_of_nodes_that_are_none_are_refused(nodes):
    with pytest.raises(ConfigError, match="nodes"):
        QuantConfig(nodes=nodes)


def test_options_for_a_node_that_is_not_there_are_refused():
    module = cml.NumpyModule.from_onnx(mlp([4, 3, 2]))
    config = QuantConfig(nodes={"gem0": {"weight_bits": 2}})
    with pytest.raises(ConfigError, match=r"nodes='gem0' is not possible.*'gemm0' .*is near"):
        cml.quantize(module, samples([4]), config)
