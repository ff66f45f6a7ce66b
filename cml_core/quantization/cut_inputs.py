"""Inputs that are encrypted by their cuts, as tensors: where their bits are, and sums of them.

The register of such a tensor holds a bin for each element. Who looks it up goes back to the inputs
themselves, whose widths differ, and of which some are bits.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import attrs
import numpy as np

from cml_core.calibration.stats import Cuts
from cml_core.program.cost import lookup_complexity
from cml_core.program.instructions import Interval, Opcode
from cml_core.program.ranges import Bounds
from cml_core.quantization.builder import ProgramBuilder, Register
from cml_core.quantization.cuts import CutCode, Form
from cml_core.quantization.encrypted import Decode, EncryptedTensor
from cml_core.quantization.origins import origin

__all__ = [
    "Parts",
    "Upper",
    "cut_input",
    "parts_of",
    "steps_of_digits",
    "sum_of_bits",
    "uniform_cuts",
]


@attrs.frozen(slots=True, eq=False)
class Upper:
    """The upper digits of integers, as thermometers: bit k says whether a digit exceeds k.

    Parameters
    ----------
    bits : Register
        One-dimensional.
    first, number : int arrays of shape (elements,)
        Where the bits of each begin, and how many they are.
    low_bits : int
        How many bits are below the digit.
    """

    bits: Register
    first: np.ndarray
    number: np.ndarray
    low_bits: int

    @property
    def levels(self) -> int:
        """How many integers there are at most, with the bits below."""
        return int(self.number.max() + 1) << self.low_bits


@attrs.frozen(slots=True, eq=False)
class Parts:
    """Where the elements of a register are encrypted: in registers of different widths.

    Parameters
    ----------
    registers : tuple of Register
        One-dimensional.
    part : int array of shape (elements,)
        Which of them holds each element; -1 for those that are zero.
    first, number : int arrays of shape (elements,)
        Where in it, and how many bits are to be added up; one if it is an integer.
    where : int array
        For each element of the register, which of the elements it is.
    above : tuple of Upper or None
        For integers of which only the low bits are in the register, where the others are.
    """

    registers: tuple[Register, ...]
    part: np.ndarray
    first: np.ndarray
    number: np.ndarray
    where: np.ndarray
    above: tuple[Upper | None, ...]

    def is_bits(self, part: int) -> bool:
        """Whether a register holds bits."""
        if part < 0:
            return True
        return self.registers[part].interval.high == 1 and self.above[part] is None


def cut_input(
    builder: ProgramBuilder,
    name: str,
    samples: np.ndarray,
    cuts: Cuts,
    form: Form,
    dtype: np.dtype[Any],
    asked: Cuts,
) -> tuple[tuple[CutCode, ...], EncryptedTensor]:
    """Declare a model input that is encrypted by its cuts, and return it as a tensor.

    The tensor's integers are the bins; the real value of one is among those that are in it. Bins
    of different widths are inputs of their own, so that each is looked up at its own width. Of
    wide ones the upper digit is a thermometer, where that makes what is asked of them cheaper. The
    register that holds all of them is there for whoever asks for it; lookups go back to the inputs.
    """
    shape = samples.shape[1:]
    size = math.prod(shape)
    number = np.bincount(cuts.element, minlength=size)
    widths = np.array([int(count).bit_length() for count in number])
    if form == "thermometer":
        widths = np.minimum(widths, 1)
    codes: list[CutCode] = []
    registers: list[Register] = []
    rows: list[Register] = []
    above: list[Upper | None] = []
    questions = np.bincount(asked.element, minlength=size)
    part, first = np.full(size, -1), np.zeros(size, dtype=np.int64)
    for width in np.unique(widths[widths > 0]).tolist():
        (elements,) = np.nonzero(widths == width)
        mine = np.isin(cuts.element, elements)
        suffix = f"/{width}" if codes else ""
        code = CutCode(name, shape, cuts.values[mine], cuts.element[mine], form, suffix)
        part[elements] = len(registers)
        first[elements] = np.arange(len(elements))
        upper: Upper | None = None
        if form == "thermometer":
            register = _declared(builder, code, samples, 1)
            first[elements] = np.searchsorted(code.element, elements)
            rows.append(_sums(builder, register, first[elements], number[elements]))
        elif _better_in_digits(width, questions[elements]):
            low = _low_bits(width)
            # Of each element's cuts, those at which the upper digit changes.
            place = np.arange(len(code.cuts)) - np.searchsorted(code.element, code.element)
            changes = place % 2**low == 2**low - 1
            high = CutCode(
                name, shape, code.cuts[changes], code.element[changes], "thermometer", f"{suffix}/h"
            )
            code = attrs.evolve(code, low_bits=low)
            register = _declared(builder, code, samples, 2**low - 1)
            bits = _declared(builder, high, samples, 1)
            codes.append(high)
            upper = Upper(
                bits,
                np.searchsorted(high.element, elements),
                np.bincount(np.searchsorted(elements, high.element), minlength=len(elements)),
                low,
            )
            row = _sums(builder, bits, upper.first, upper.number)
            scaled = np.full(len(elements), 2**low)
            row = builder.emit(Opcode.MULTIPLY, [row], constants={"operand": scaled})
            rows.append(builder.emit(Opcode.ADD, [row, register]))
        else:
            register = _declared(builder, code, samples, int(number[elements].max()))
            bounds = np.zeros(len(elements), dtype=np.int64), number[elements]
            register = attrs.evolve(register, bounds=Bounds(*bounds), packed=True)
            rows.append(register)
        registers.append(register)
        above.append(upper)
        codes.insert(len(codes) - (upper is not None), code)
    if form != "thermometer":
        number = np.minimum(number, 1)
    # The last one is a zero, for elements without cuts.
    rows[-1] = builder.emit(Opcode.PAD, [rows[-1]], {"before": (0,), "after": (1,)})
    line = rows[0] if len(rows) == 1 else builder.emit(Opcode.CONCAT, rows, {"axis": 0})
    order = np.concatenate([np.flatnonzero(part == k) for k in range(len(registers))])
    place = np.full(size, len(order))
    place[order] = np.arange(len(order))
    whole = builder.emit(Opcode.GATHER, [line], constants={"index": place.reshape(shape)})
    every = np.arange(size).reshape(shape)
    builder.parts[whole.position] = Parts(
        tuple(registers), part, first, number, every, tuple(above)
    )
    values = _typical(cuts, samples.reshape(len(samples), size).astype(np.float64), dtype)
    decode = Decode(size, lambda q, c: values[c, np.clip(q, 0, values.shape[1] - 1)])
    return tuple(codes), EncryptedTensor(whole, every, decode, dtype)


def _sums(
    builder: ProgramBuilder, bits: Register, first: np.ndarray, number: np.ndarray
) -> Register:
    """How many bits of each element are one; its bits are side by side."""
    rank = np.arange(max(1, int(number.max(initial=0))))[:, np.newaxis]
    factor = (rank < number).astype(np.int64)
    return sum_of_bits(builder, bits, np.where(factor, first + rank, 0), factor)


def _declared(builder: ProgramBuilder, code: CutCode, samples: np.ndarray, top: int) -> Register:
    integers = code.encode(samples)[0].astype(np.int64)
    return builder.input(code.name + code.suffix, integers, Interval(0, top))


def _better_in_digits(width: int, questions: np.ndarray) -> bool:
    """Whether so many questions to elements are cheaper if these are encrypted in two digits.

    Each costs one lookup of two bits then, and one of the lower digit, which others may share.
    """
    if width < 4:
        return False
    low = _low_bits(width)
    split = questions.sum() * lookup_complexity(2)
    split += np.minimum(questions, 2**low - 1).sum() * lookup_complexity(low)
    return bool(split < questions.sum() * lookup_complexity(width))


def _low_bits(width: int) -> int:
    """Bits of the lower digit: few ciphertexts for the upper one, and cheap lookups."""
    return 2 if width == 4 else 3


def uniform_cuts(samples: np.ndarray, bits: int) -> Cuts:
    """Cuts that divide the range of each element into steps of one size."""
    x = samples.reshape(len(samples), -1).astype(np.float64)
    low, high = x.min(axis=0), x.max(axis=0)
    steps = (np.arange(2**bits - 1) + 1) / 2**bits
    varies = np.flatnonzero(high > low)
    values = low[varies, np.newaxis] + (high - low)[varies, np.newaxis] * steps
    return Cuts.of(values.reshape(-1), np.repeat(varies, len(steps)))


def _typical(cuts: Cuts, x: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """`(elements of a sample, bins)`: a number of a dtype in each bin, well away from its ends.

    It is the median of the calibration samples there, or else the middle. The first and the last
    bin have one end only; without samples their values are as far from it as the element's cuts
    are apart.
    """
    count, size = x.shape
    number = np.bincount(cuts.element, minlength=size)
    values = np.zeros((size, int(number.max(initial=0)) + 1))
    (own,) = np.nonzero(number)
    starts, last = np.searchsorted(cuts.element, own), number[own]
    first_cut, last_cut = cuts.values[starts], cuts.values[starts + last - 1]
    largest = np.maximum(np.abs(first_cut), np.abs(last_cut))
    apart = np.maximum(np.maximum(last_cut - first_cut, largest * 1e-3), 1e-6)
    rank = np.arange(len(cuts.values)) - np.repeat(starts, last)
    below, above = np.zeros_like(values), np.zeros_like(values)
    below[own, 0], above[own, last] = first_cut - apart, last_cut + apart
    below[cuts.element, rank + 1], above[cuts.element, rank] = cuts.values, cuts.values
    middles = below + (above - below) / 2
    # Between neighbouring numbers there is no middle; the upper one is in the bin.
    near = np.ceil(middles) if dtype.kind in "iu" else middles.astype(dtype)
    values[:] = np.where(near > below, near, above)
    if count:
        bins = np.add.reduceat(x[:, cuts.element] > cuts.values, starts, axis=1, dtype=np.int64)
        cell = (own * values.shape[1] + bins).reshape(-1)
        seen = x[:, own].reshape(-1)
        order = np.lexsort((seen, cell))
        cells, begin, many = np.unique(cell[order], return_index=True, return_counts=True)
        values.reshape(-1)[cells] = seen[order][begin + (many - 1) // 2]
        values[number == 0] = np.median(x[:, number == 0], axis=0)[:, np.newaxis]
    else:
        values[number == 0] = 0.0
    # Beyond the last bin, what the last one has.
    place = np.minimum(np.arange(values.shape[1]), number[:, np.newaxis])
    return np.take_along_axis(values, place, axis=1)


def parts_of(builder: ProgramBuilder, register: Register) -> Parts | None:
    """Where the elements of a register are encrypted, if it only moves those of such an input."""
    found = origin(builder, register.position, builder.parts) if builder.parts else None
    if found is None:
        return None
    position, where = found
    parts: Parts = builder.parts[position]
    return attrs.evolve(parts, where=parts.where.reshape(-1)[where])


def steps_of_digits(
    builder: ProgramBuilder, lower: Register, upper: Upper, element: np.ndarray, cut: np.ndarray
) -> Register:
    """Bits: whether integers whose upper digits are thermometers exceed cuts.

    `q > c` is `upper > c_upper`, or `upper == c_upper and lower > c_lower`. Equal questions to the
    lower digit are asked once; `upper == h` is the difference of two bits.

    Parameters
    ----------
    lower : Register
        The lower digits, one-dimensional.
    upper : Upper
        The upper ones.
    element, cut : int arrays of shape (M,)
        Which element exceeds which integer.
    """
    emit, low = builder.emit, upper.low_bits
    top, own = cut >> low, cut & (2**low - 1)
    asked, which = np.unique(np.stack([element, own]), axis=1, return_inverse=True)
    taken = emit(Opcode.GATHER, [lower], constants={"index": asked[0]})
    each, table = np.unique(asked[1], return_inverse=True)
    tables = (np.arange(2**low) > each[:, np.newaxis]).astype(np.int64)
    constants = {"tables": tables, "index": table.reshape(-1)}
    if len(each) == 1:
        del constants["index"]
    within = emit(Opcode.LOOKUP, [taken], {"offset": 0, "shift": 0}, constants)
    within = emit(Opcode.GATHER, [within], constants={"index": which.reshape(-1)})
    # Bits of the upper digit from -1, which is always exceeded, to the highest, which never is.
    line = emit(Opcode.PAD, [upper.bits], {"before": (2,), "after": (0,)})
    ends = np.zeros(upper.bits.size + 2, dtype=np.int64)
    ends[1] = 1
    line = emit(Opcode.ADD, [line], constants={"operand": ends})

    def above(number: np.ndarray) -> Register:
        inside = upper.first[element] + number + 2
        index = np.where(number < 0, 1, np.where(number < upper.number[element], inside, 0))
        return emit(Opcode.GATHER, [line], constants={"index": index})

    zero, higher = np.zeros_like(cut), above(top)
    both = emit(
        Opcode.ADD,
        [emit(Opcode.SUBTRACT, [above(top - 1), higher]), within],
        interval=Interval(0, 2),
        bounds=Bounds(zero, zero + 2),
    )
    both = emit(Opcode.LOOKUP, [both], {"offset": 0, "shift": 0}, {"tables": np.array([[0, 0, 1]])})
    return emit(Opcode.ADD, [higher, both], interval=Interval(0, 1), bounds=Bounds(zero, zero + 1))


def sum_of_bits(
    builder: ProgramBuilder, bits: Register, index: np.ndarray, factor: np.ndarray
) -> Register:
    """`sum_k factor[k] * bits[index[k]]` for each element: clear work only.

    Parameters
    ----------
    bits : Register
        One-dimensional.
    index, factor : int arrays of shape (K, elements)
        Which bits of each element, and what each of them adds.
    """
    terms = []
    for places, factors in zip(index, factor, strict=True):
        term = builder.emit(Opcode.GATHER, [bits], constants={"index": places})
        if (factors != 1).any():
            term = builder.emit(Opcode.MULTIPLY, [term], constants={"operand": factors})
        terms.append(term)
    return functools.reduce(lambda a, b: builder.emit(Opcode.ADD, [a, b]), terms)
