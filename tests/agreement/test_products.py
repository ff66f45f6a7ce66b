"""Products of matrices and other sums of products."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.values import FLOATS, HALF, SIGNED, UNSIGNED, array, optional, shape

#: Sums of the largest numbers depend on their order.
KINDS = ("plain", "ties")


def factor(draw, dtype, size):
    return array(draw, dtype, size, kinds=KINDS, low=None if dtype.kind == "f" else -9, high=9)


def sizes(draw, count, least=0):
    """Draw lengths of axes, rarely 0."""
    return [draw(st.sampled_from([1, 2, 3, 4, *([0] if least == 0 else [])])) for _ in range(count)]


def matmul(draw, dtype, revision):
    rows, inner, columns = sizes(draw, 3)
    batch = shape(draw, 0, 2, min_size=1)
    left, right = (tuple(1 if draw(st.booleans()) else n for n in batch) for _ in range(2))
    left, right = (part[draw(st.integers(0, len(part))) :] for part in (left, right))
    first = (inner,) if draw(st.integers(0, 4)) == 4 else (*left, rows, inner)
    second = (inner,) if draw(st.integers(0, 4)) == 4 else (*right, inner, columns)
    return Node([factor(draw, dtype, first), factor(draw, dtype, second)])


def gemm(draw, dtype, revision):
    rows, inner, columns = sizes(draw, 3)
    flags = {name: draw(st.integers(0, 1)) for name in ("transA", "transB")}
    first = (inner, rows) if flags["transA"] else (rows, inner)
    second = (columns, inner) if flags["transB"] else (inner, columns)
    numbers = {name: draw(st.integers(-4, 4)) / 2 for name in ("alpha", "beta")}
    whole = dtype.kind in "iu"
    attributes = {**flags, **optional(draw, **(numbers if not whole else {}))}
    terms = [(rows, columns), (1, columns), (rows, 1), (columns,), (1,), (1, 1), ()]
    inputs = [factor(draw, dtype, first), factor(draw, dtype, second)]
    if revision < 11 or draw(st.booleans()):
        inputs.append(factor(draw, dtype, draw(st.sampled_from(terms))))
    return Node(inputs, attributes)


EQUATIONS = (
    *(
        "i->",
        "i->i",
        "ij->ji",
        "ij->i",
        "ij",
        "ba",
        "ii->i",
        "ii",
        "iij->j",
        "...i->...",
        "...ij->...ji",
    ),
    *(
        "i,i->",
        "i,j->ij",
        "ij,jk->ik",
        "ij,jk",
        "ij,kj->ik",
        "bij,bjk->bik",
        "ij,ij->",
        "ij,ij->ij",
    ),
    *("...ij,...jk->...ik", "...ij,jk->...ik", "i...,i...->...", "bhid,bhjd->bhij", "ii,ij->j"),
    *("i,j,k->ijk", "ij,jk,kl->il", "ij,j,j->i", "aB,Bc->ca", "aB, Ba", "ij , jk -> ki"),
)


def einsum(draw, dtype, revision):
    equation = draw(st.sampled_from(EQUATIONS))
    lengths: dict[str, int] = {}
    covered = shape(draw, 0, 2, min_size=1)
    operands = []
    for term in equation.replace(" ", "").split("->")[0].split(","):
        size: tuple[int, ...] = ()
        before, dots, after = term.partition("...")
        for labels, extra in ((before, covered if dots else ()), (after, ())):
            known = [
                lengths.setdefault(
                    x, draw(st.integers(0 if draw(st.integers(0, 9)) == 9 else 1, 3))
                )
                for x in labels
            ]
            size = (*size, *known, *extra)
        operands.append(factor(draw, dtype, size))
    return Node(operands, {"equation": equation})


def det(draw, dtype, revision):
    (order,) = sizes(draw, 1, least=1)
    return Node([factor(draw, dtype, (*shape(draw, 0, 2), order, order))])


def is_empty(node, case):
    return case.dtype.kind in "iu" and any(x.size == 0 for x in node.inputs)


_NUMBERS = FLOATS + HALF + SIGNED[2:] + UNSIGNED[2:]

OPERATORS = {
    "Det": Operator(det, FLOATS + HALF),
    "Einsum": Operator(
        einsum,
        _NUMBERS,
        faults=[Fault("onnxruntime", "of no integers it dies", when=is_empty)],
    ),
    "Gemm": Operator(gemm, _NUMBERS),
    "MatMul": Operator(
        matmul,
        _NUMBERS,
        faults=[
            Fault(
                "onnxruntime",
                "it has no sums of no products of uint32 or uint64",
                says="Tensor type mismatch",
                when=is_empty,
            )
        ],
    ),
}


@agreement(OPERATORS)
def test_products(case):
    case.check()
