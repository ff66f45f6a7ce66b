import pytest

from cml_core import NodeConfig, QuantConfig
from cml_core.errors import ConfigError


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
    "option", [{"observer": "median"}, {"ranges": "guessed"}, {"tail": "both"}, {"margin": -0.1}]
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
