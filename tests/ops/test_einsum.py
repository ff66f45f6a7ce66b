"""Einsum: equations of all forms, in float and with one operand encrypted or several."""

import numpy as np
import pytest

import cml_core as cml
from cml_core.errors import AttributeValueError
from cml_core.fhe.backend import installed_backends
from cml_ops_builtin.einsum import einsum
from tests.networks import Net

EQUATIONS = [
    ("ij,jk->ik", [(2, 3), (3, 2)]),
    ("ij,jk", [(2, 3), (3, 2)]),
    ("b...d,bd->b...", [(2, 3, 2, 2), (2, 2)]),
    ("...,...->...", [(2, 1), (1, 3)]),
    ("ii->i", [(3, 3)]),
    ("ii", [(3, 3)]),
    ("iij->j", [(2, 2, 3)]),
    ("aBc->Bca", [(2, 3, 2)]),
    ("cB", [(2, 3)]),
    ("ij->", [(2, 3)]),
    (",ij->ji", [(), (2, 3)]),
    ("i,j,k->kj", [(2,), (2,), (3,)]),
    ("ij,jk,kl->il", [(2, 2), (2, 3), (3, 2)]),
    (" i j , i j -> i ", [(2, 3), (2, 3)]),
    ("bhid,bhjd->bhij", [(1, 2, 2, 2), (1, 2, 3, 2)]),
]


def operands(shapes, seed=0, count=()):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.uniform(-1, 1, (*count, *s)), np.float32) for s in shapes]


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int32, np.uint8])
def test_the_float_reference_is_numpys(equation, shapes, dtype):
    arrays = [(4 * np.abs(x)).astype(dtype) for x in operands(shapes)]
    kept = [x.copy() for x in arrays]
    (result,) = einsum(*arrays, equation=equation)
    wanted = np.einsum(equation, *(x.astype(np.float64) for x in arrays))
    assert result.dtype == dtype
    np.testing.assert_allclose(
        result, wanted.astype(dtype), rtol=2e-3 if dtype == np.float16 else 1e-5
    )
    result[...] = 7
    for before, after in zip(kept, arrays, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("equation", "shapes", "named"),
    [
        ("ij,jk->ik", [(2, 3)], "one term for each of 1 operands"),
        ("ij->i", [(2, 3, 4)], "one letter in 'ij'"),
        ("ijk->i", [(2, 3)], "one letter in 'ijk'"),
        ("ij,jk->ik", [(2, 3), (2, 3)], "of one length"),
        ("ij->k", [(2, 3)], "occur in the operands"),
        ("ij->ii", [(2, 3)], "each once"),
        ("...j->j", [(2, 3)], "ellipsis"),
        ("i1->i", [(2, 3)], "letters, commas"),
        ("i->j->i", [(2,)], "letters, commas"),
    ],
)
def test_equations_that_make_no_sense_are_refused_with_the_reason(equation, shapes, named):
    with pytest.raises(AttributeValueError, match=named):
        einsum(*operands(shapes), equation=equation)


def quantized_einsum(equation, shapes, encrypted, n_bits=6):
    """A model whose one input holds the encrypted operands of one sample, and its samples."""
    net = Net([1, sum(int(np.prod(shapes[k])) for k in encrypted)], opset=17)
    clear, start, names = operands(shapes, seed=1), 0, []
    for place, shape in enumerate(shapes):
        if place not in encrypted:
            names.append(net.constant(clear[place]))
            continue
        stop = start + int(np.prod(shape))
        ends = (net.constant(np.array([end])) for end in (start, stop, 1))
        part = net.add("Slice", "x", *ends)
        names.append(net.add("Reshape", part, net.constant(np.array(shape, dtype=np.int64))))
        start = stop
    model = net.model(net.add("Einsum", *names, equation=equation))
    samples = operands([(1, start)], count=(60,))[0]
    module = cml.NumpyModule.from_onnx(model)
    config = cml.QuantConfig.with_bits(n_bits, tail="server")
    return module, cml.quantize(module, samples, config), samples


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
@pytest.mark.parametrize("which", ["first", "last", "all"])
def test_any_operands_may_be_encrypted(equation, shapes, which):
    last = len(shapes) - 1
    encrypted = {"first": (0,), "last": (last,), "all": tuple(range(last + 1))}[which]
    module, quantized, samples = quantized_einsum(equation, shapes, encrypted)
    wanted = np.stack([module(sample) for sample in samples])
    got = np.stack([quantized(sample) for sample in samples])
    assert got.shape == wanted.shape
    assert got.dtype == wanted.dtype
    assert np.abs(got - wanted).max() < 0.08 * np.ptp(wanted)


def test_one_encrypted_operand_costs_no_lookup():
    for equation, shapes in EQUATIONS[:-1]:
        _, quantized, _ = quantized_einsum(equation, shapes, (0,))
        assert quantized.report().lookups == 0, equation


@pytest.mark.fhe
@pytest.mark.skipif(not installed_backends(), reason="no FHE compiler is installed")
@pytest.mark.parametrize("equation", ["bhid,bhjd->bhij", "ij,jk,kl->il", "i,j,k->kj"])
def test_simulation_equals_the_clear_integers(equation):
    shapes = dict(EQUATIONS)[equation]
    _, quantized, samples = quantized_einsum(equation, shapes, range(len(shapes)), n_bits=3)
    np.testing.assert_array_equal(quantized.compile().simulate(samples[0]), quantized(samples[0]))
