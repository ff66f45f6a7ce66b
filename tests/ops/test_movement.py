"""Movement operators: however they are chained, elements arrive exact and without a lookup."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cml_core as cml
from cml_core.fhe.backend import installed_backends
from tests.networks import Net

#: Between them every form of every operator: attributes that became inputs, new attributes.
OPSETS = (9, 11, 13, 18)


def integers(*shape, seed=0):
    """Integers of eight bits, both ends among them: their quantization is exact."""
    values = np.random.default_rng(seed).integers(0, 256, size=(4, *shape))
    values[0], values[1] = 0, 255
    return values.astype(np.float32)


def int64(*values):
    return np.array(values, dtype=np.int64)


def quantize(model, data):
    module = cml.NumpyModule.from_onnx(model)
    return module, cml.quantize(module, data, n_bits=8)


def steer(net, op_type, x, since, **steering):
    """Add a node whose steering values are attributes before an opset, and inputs from it on."""
    if net.opset < since:
        return net.add(op_type, x, **{k: v for k, v in steering.items() if v is not None})
    values = list(steering.values())
    while values and values[-1] is None:
        values.pop()
    names = ["" if v is None else net.constant(int64(*v)) for v in values]
    return net.add(op_type, x, *names)


def split_in_two(net, x, lengths, axis):
    if net.opset < 13:
        first = net.add("Split", x, split=lengths, axis=axis)
    else:
        first = net.add("Split", x, net.constant(int64(*lengths)), axis=axis)
    net.nodes[-1].output.append(first + "_second")
    return first, first + "_second"


# --- random steps: each draws what an operator can do with a tensor of this shape -----------------


def axis_of(draw, net, shape):
    rank = len(shape)
    return draw(st.integers(-rank if net.opset >= 11 else 0, rank - 1))


def reshape(draw, net, x, shape):
    sizes = list(draw(st.permutations(shape)))
    sizes.insert(draw(st.integers(0, len(sizes))), 1)
    place = draw(st.integers(0, len(sizes) - 1))
    if draw(st.booleans()):
        sizes[place] = -1
    elif place < len(shape) and sizes[place] == shape[place]:
        sizes[place] = 0
    return net.add("Reshape", x, net.constant(int64(*sizes)))


def flatten(draw, net, x, shape):
    return net.add("Flatten", x, axis=draw(st.integers(0, len(shape))))


def transpose(draw, net, x, shape):
    if len(shape) < 1 or draw(st.booleans()):
        return net.add("Transpose", x)
    return net.add("Transpose", x, perm=draw(st.permutations(range(len(shape)))))


def squeeze(draw, net, x, shape):
    ones = [axis for axis, size in enumerate(shape) if size == 1]
    if not ones or draw(st.booleans()):
        return steer(net, "Squeeze", x, 13, axes=None)
    axes = draw(st.lists(st.sampled_from(ones), min_size=1, unique=True))
    return steer(net, "Squeeze", x, 13, axes=axes)


def unsqueeze(draw, net, x, shape):
    count = draw(st.integers(1, 2))
    axes = draw(st.permutations(range(len(shape) + count)))[:count]
    return steer(net, "Unsqueeze", x, 13, axes=axes)


def concat(draw, net, x, shape):
    axis = axis_of(draw, net, shape)
    beside = [*shape]
    beside[axis] = draw(st.integers(0, 2))
    constant = net.constant(np.arange(math.prod(beside)).reshape(beside) - 1.5)
    parts = draw(st.permutations([x, constant, x]))[: draw(st.integers(1, 3))]
    return net.add("Concat", *(parts if x in parts else [x]), axis=axis)


def slice_(draw, net, x, shape):
    axes = draw(st.permutations(range(len(shape))))[: draw(st.integers(1, len(shape)))]
    far = st.sampled_from([2**31 - 1, -(2**31)])
    bounds = st.lists(st.integers(-5, 5) | far, min_size=len(axes), max_size=len(axes))
    steering = {"starts": draw(bounds), "ends": draw(bounds), "axes": axes}
    if net.opset >= 10:
        kinds = st.sampled_from([1, 2, -1, -2])
        steering["steps"] = draw(st.lists(kinds, min_size=len(axes), max_size=len(axes)))
    return steer(net, "Slice", x, 10, **steering)


def split(draw, net, x, shape):
    axis = axis_of(draw, net, shape)
    first = draw(st.integers(0, shape[axis]))
    return draw(st.sampled_from(split_in_two(net, x, [first, shape[axis] - first], axis)))


def gather(draw, net, x, shape):
    axis = axis_of(draw, net, shape)
    count = draw(st.sampled_from([(), (0,), (1,), (3,), (2, 2)]))
    places = st.integers(-shape[axis] if net.opset >= 11 else 0, shape[axis] - 1)
    size = math.prod(count)
    indices = draw(st.lists(places, min_size=size, max_size=size))
    return net.add("Gather", x, net.constant(int64(*indices).reshape(count)), axis=axis)


def random_indices(draw, size, shape):
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return rng.integers(-size, size, size=shape)


def gather_elements(draw, net, x, shape):
    axis = axis_of(draw, net, shape)
    counts = [draw(st.integers(1, size)) for size in shape]
    counts[axis] = draw(st.integers(1, 4))
    indices = random_indices(draw, shape[axis], counts)
    return net.add("GatherElements", x, net.constant(indices), axis=axis)


def gather_nd(draw, net, x, shape):
    batch = draw(st.integers(0, len(shape) - 1)) if net.opset >= 12 else 0
    depth = draw(st.integers(1, len(shape) - batch))
    outer = (*shape[:batch], 2)
    columns = [random_indices(draw, size, outer) for size in shape[batch : batch + depth]]
    settings = {"batch_dims": batch} if batch else {}
    return net.add("GatherND", x, net.constant(np.stack(columns, axis=-1)), **settings)


def pad(draw, net, x, shape):
    modes = ["constant", "reflect", "edge"]
    mode = draw(st.sampled_from(modes))
    # A negative pad crops; both ends of an axis together must leave something.
    least = [-1 if mode == "constant" and size > 2 else 0 for size in shape]
    pads = [draw(st.integers(low, 2)) for low in least * 2]
    value = draw(st.sampled_from([0.0, -1.5, 300.0]))
    if net.opset < 11:
        return net.add("Pad", x, pads=pads, mode=mode, value=value)
    names = [x, net.constant(int64(*pads)), net.constant(np.float32(value))]
    return net.add("Pad", *names, mode=mode)


def expand(draw, net, x, shape):
    sizes = [draw(st.integers(1, 3)) if size == 1 else size for size in shape]
    sizes = [draw(st.integers(1, 2)), *sizes] if draw(st.booleans()) else sizes
    return net.add("Expand", x, net.constant(int64(*sizes)))


def tile(draw, net, x, shape):
    times = [draw(st.integers(1, 2)) for _ in shape]
    return net.add("Tile", x, net.constant(int64(*times)))


def depth_to_space(draw, net, x, shape):
    settings = {"mode": draw(st.sampled_from(["DCR", "CRD"]))} if net.opset >= 11 else {}
    return net.add("DepthToSpace", x, blocksize=2, **settings)


def space_to_depth(draw, net, x, shape):
    return net.add("SpaceToDepth", x, blocksize=2)


def trilu(draw, net, x, shape):
    k = net.constant(np.array(draw(st.integers(-3, 3)), dtype=np.int64))
    return net.add("Trilu", x, k, upper=draw(st.integers(0, 1)))


def reverse_sequence(draw, net, x, shape):
    batch = draw(st.integers(0, 1))
    lengths = [draw(st.integers(0, shape[1 - batch])) for _ in range(shape[batch])]
    constant = net.constant(int64(*lengths))
    return net.add("ReverseSequence", x, constant, batch_axis=batch, time_axis=1 - batch)


def compress(draw, net, x, shape):
    axis = axis_of(draw, net, shape)
    condition = draw(st.lists(st.booleans(), max_size=shape[axis]))
    return net.add("Compress", x, net.constant(np.array(condition, dtype=bool)), axis=axis)


def scatter_elements(draw, net, x, shape):
    axis = axis_of(draw, net, shape)
    counts = [draw(st.integers(1, size)) for size in shape]
    order = [draw(st.permutations(range(shape[axis])))[: counts[axis]]]
    along = [1] * len(shape)
    along[axis] = counts[axis]
    indices = np.broadcast_to(np.array(order).reshape(along), counts)
    updates = np.arange(indices.size).reshape(counts) + 0.25
    return net.add(
        "ScatterElements", x, net.constant(indices.copy()), net.constant(updates), axis=axis
    )


def scatter_nd(draw, net, x, shape):
    rows = draw(st.permutations(range(shape[0])))[: draw(st.integers(1, shape[0]))]
    indices = int64(*rows)[:, np.newaxis]
    updates = np.full((len(rows), *shape[1:]), -7.0)
    return net.add("ScatterND", x, net.constant(indices), net.constant(updates))


def steps(net, shape):
    """The steps that are possible from here."""
    rank, found = len(shape), [flatten, transpose, squeeze, expand]
    if rank < 4:
        found.append(unsqueeze)
    if 0 not in shape:
        found.append(reshape)
    if rank == 0:
        return found
    found += [concat, slice_, split, tile, compress]
    if 0 in shape:
        return found
    found += [gather, pad]
    if net.opset >= 11:
        found += [gather_elements, gather_nd, scatter_elements, scatter_nd]
    if rank >= 2 and net.opset >= 10:
        found.append(reverse_sequence)
    if rank >= 2 and net.opset >= 14:
        found.append(trilu)
    if rank == 4 and shape[1] % 4 == 0:
        found.append(depth_to_space)
    if rank == 4 and shape[2] % 2 == shape[3] % 2 == 0:
        found.append(space_to_depth)
    return found


@st.composite
def chains(draw):
    """A model of one to four movement operators, and the shape of its input."""
    shape = tuple(draw(st.integers(1, 4)) for _ in range(draw(st.integers(0, 4))))
    net = Net(shape, opset=draw(st.sampled_from(OPSETS)))
    x, current = "x", shape
    for _ in range(draw(st.integers(1, 4))):
        step = draw(st.sampled_from(steps(net, current)))
        x = step(draw, net, x, current)
        probe = cml.NumpyModule.from_onnx(net.model(x))
        current = probe(np.zeros(shape, dtype=np.float32)).shape
        if math.prod(current) > 300 or len(current) > 5:
            break
    return net.model(x), shape


@given(chains())
@settings(max_examples=200, deadline=None)
def test_integers_arrive_exactly_where_floats_do_and_cost_no_lookup(chain):
    model, shape = chain
    data = integers(*shape)
    module, quantized = quantize(model, data)
    for sample in data:
        np.testing.assert_array_equal(quantized(sample), module(sample), strict=True)
    assert quantized.report().lookups == 0


# --- fixed chains, compiled ----------------------------------------------------------------------


def mixed(net, x):
    """Two different encrypted tensors side by side: a matrix, and its product with another."""
    weights = net.constant(np.random.default_rng(5).normal(size=(3, 2)))
    return net.add("Concat", x, net.add("Gemm", x, weights), axis=1)


def concat_with_a_constant(net, x):
    beside = net.constant(np.array([[0.5, -3.0]]))
    return net.add("Transpose", net.add("Concat", beside, x, axis=1))


def pad_with_a_constant(net, x):
    padded = net.add("Pad", x, net.constant(int64(1, 0, 0, 2)), net.constant(np.float32(7.5)))
    return steer(net, "Slice", padded, 10, starts=[0, 1], ends=[2, 9], axes=[0, 1], steps=[1, 2])


def backward_slices(net, x):
    ends = [-9, -9]
    cut = steer(net, "Slice", x, 10, starts=[-1, -1], ends=ends, axes=[0, 1], steps=[-1, -2])
    return net.add("Reshape", cut, net.constant(int64(-1)))


def broadcasting_expand(net, x):
    column = net.add("Unsqueeze", x, net.constant(int64(2)))
    return net.add("Expand", column, net.constant(int64(2, 1, 1, 2)))


def repeated_indices(net, x):
    rows = net.add("Gather", x, net.constant(int64(1, 0, 1, 1)), axis=0)
    return net.add("Gather", rows, net.constant(int64(2, -1, 0, 0).reshape(2, 2)), axis=1)


def one_number(net, x):
    row = net.add("Gather", x, net.constant(np.array(-1)), axis=0)
    return net.add("Gather", row, net.constant(np.array(1)), axis=0)


def one_number_by_reshape(net, x):
    cut = steer(net, "Slice", x, 10, starts=[1, 2], ends=[2, 3])
    return net.add("Reshape", cut, net.constant(int64()))


def split_and_swap(net, x):
    first, second = split_in_two(net, x, [1, 2], axis=1)
    return net.add("Concat", second, first, axis=1)


def triangle_of_two(net, x):
    return net.add("Trilu", mixed(net, x), net.constant(np.array(1)), upper=0)


def reflection_of_two(net, x):
    return net.add("Pad", mixed(net, x), net.constant(int64(0, 2, 1, 1)), mode="reflect")


def scatter_a_row(net, x):
    row = net.add("Gather", x, net.constant(int64(0)), axis=0)
    scattered = net.add("ScatterND", x, net.constant(int64(1).reshape(1, 1)), row)
    return net.add("Tile", scattered, net.constant(int64(1, 2)))


def elements_by_tuples(net, x):
    places = net.constant(np.array([[[2], [0], [2]], [[1], [1], [-1]]]))
    found = net.add("GatherND", x, places, batch_dims=1)
    return net.add("ReverseSequence", found, net.constant(int64(2, 3)), batch_axis=0, time_axis=1)


def depth_to_space_and_crop(net, x):
    blocks = net.add("DepthToSpace", x, blocksize=2, mode="CRD")
    return net.add("Compress", blocks, net.constant(np.array([False, True, True])), axis=3)


def space_to_depth_and_back(net, x):
    deep = net.add("SpaceToDepth", net.add("DepthToSpace", x, blocksize=2), blocksize=2)
    return net.add("Squeeze", deep)


MATRIX, IMAGE = (2, 3), (1, 4, 1, 2)
CHAINS = [
    (mixed, MATRIX),
    (concat_with_a_constant, (1, 3)),
    (pad_with_a_constant, MATRIX),
    (backward_slices, MATRIX),
    (broadcasting_expand, MATRIX),
    (repeated_indices, MATRIX),
    (one_number, MATRIX),
    (one_number_by_reshape, MATRIX),
    (split_and_swap, MATRIX),
    (triangle_of_two, MATRIX),
    (reflection_of_two, MATRIX),
    (scatter_a_row, MATRIX),
    (elements_by_tuples, MATRIX),
    (depth_to_space_and_crop, IMAGE),
    (space_to_depth_and_back, IMAGE),
]


@pytest.mark.fhe
@pytest.mark.skipif(not installed_backends(), reason="no FHE compiler is installed")
@pytest.mark.parametrize(("chain", "shape"), CHAINS, ids=[chain.__name__ for chain, _ in CHAINS])
def test_simulation_equals_clear_integers(chain, shape):
    net = Net(shape, opset=18)
    data = integers(*shape)
    _, quantized = quantize(net.model(chain(net, "x")), data)
    assert quantized.report().lookups == 0
    np.testing.assert_array_equal(quantized.compile().simulate(data), quantized(data))
