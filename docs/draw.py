"""Draw the documentation's pictures from the code that they are about.

    python docs/draw.py            write docs/images/*.svg
    python docs/draw.py --check    exit with status 1 if one of them is stale

It needs no extra: the pictures are plain SVG, each with a background of its own and narrow enough
for a telephone. Costs are those of cml's own table; bits and instructions are those of models that
are quantized here. A picture is stale if its words differ, or a number by more than a twentieth:
quantization gives slightly different integers on other machines.
"""

from __future__ import annotations

import argparse
import html
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx

import cml_core as cml
from cml_core.plugin_api import Opcode, lookup_complexity
from cml_core.program.cost import lookup_width
from cml_core.program.instructions import Instruction, Program, bit_width

HERE = Path(__file__).parent
IMAGES = HERE / "images"
DIGITS = HERE / "examples" / "digits"

INK, SOFT, PAPER, LINE = "#1f2430", "#5b6472", "#fcfcfa", "#c9ced6"
BLUE, GREEN, AMBER, RED = "#dbe8fb", "#dcf1e3", "#fdeccb", "#f8d7d3"
DARK_BLUE, DARK_AMBER, DARK_RED = "#3b6fb6", "#b7791f", "#b3453a"

#: A model of two layers, small enough to be drawn whole.
SMALL = """
<ir_version: 8, opset_import: ["": 17]>
small (float[N, 2] x) => (float[N, 1] y)
<
  float[2, 3] w = {0.9, -0.5, 0.3, 0.2, 0.8, -0.7},
  float[3] b = {0.1, 0.0, -0.2},
  float[3, 1] v = {0.7, -0.4, 0.9}
>
{
  hidden = Gemm(x, w, b)
  active = Relu(hidden)
  y = MatMul(active, v)
}
"""


class Drawing:
    """An SVG picture under way.

    Parameters
    ----------
    width, height : float
        In pixels; text is 13 of them high.
    title : str
        What it shows, for those who cannot see it.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self.parts: list[str] = []

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, *, dashed: bool = False
    ) -> None:
        """Draw a box with round corners."""
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" '
            f'fill="{fill}" stroke="{LINE}"{dash}/>'
        )

    def bar(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """Draw a plain bar."""
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'fill="{fill}"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        fill: str = INK,
        size: int = 13,
        anchor: str = "start",
        bold: bool = False,
        mono: bool = False,
    ) -> None:
        """Write a line of text."""
        weight = ' font-weight="600"' if bold else ""
        family = ' font-family="ui-monospace, Menlo, Consolas, monospace"' if mono else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" font-size="{size}" '
            f'text-anchor="{anchor}"{weight}{family}>{html.escape(words)}</text>'
        )

    def line(self, *points: float, stroke: str = SOFT, arrow: bool = False) -> None:
        """Draw a line through points, with an arrow at its end if asked."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(points[::2], points[1::2], strict=True))
        end = ' marker-end="url(#arrow)"' if arrow else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="1.4"{end}/>'
        )

    def svg(self) -> str:
        """Return the picture."""
        title = html.escape(self.title)
        size = f'width="{self.width:g}" height="{self.height:g}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
                f'viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
                'font-family="system-ui, -apple-system, Segoe UI, Roboto, sans-serif">',
                f"<title>{title}</title>",
                '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
                f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="{SOFT}"/></marker>'
                "</defs>",
                f'<rect width="{self.width:g}" height="{self.height:g}" rx="8" fill="{PAPER}" '
                f'stroke="{LINE}"/>',
                *self.parts,
                "</svg>\n",
            ]
        )


def pipeline() -> Drawing:
    """From a file to a circuit, with what each step takes."""
    steps = [
        ("ONNX file", "", "load", ""),
        ("Graph", "nodes in order, faults found", "bind", "operator plugins"),
        ("NumpyModule", "floats in NumPy", "calibrate", "representative data"),
        ("CalibrationStats", "ranges of all tensors", "quantize", "QuantConfig"),
        ("QuantizedModule", "an integer program", "compile", "FheOptions"),
        ("FheCircuit", "encrypt · run · decrypt", "", ""),
    ]
    tall, gap = 46, 38
    drawing = Drawing(
        400, 24 + len(steps) * (tall + gap) - gap, "The steps from a file to a circuit"
    )
    for place, (name, gives, step, takes) in enumerate(steps):
        y = 12 + place * (tall + gap)
        drawing.box(16, y, 206, tall, GREEN if place in (2, 4, 5) else BLUE)
        drawing.text(119, y + (20 if gives else 28), name, anchor="middle", bold=True)
        drawing.text(119, y + 37, gives, anchor="middle", fill=SOFT, size=12)
        if step:
            drawing.line(119, y + tall, 119, y + tall + gap - 1, arrow=True)
            drawing.text(128, y + tall + 23, step, fill=DARK_BLUE)
        if takes:
            middle = y + tall + gap / 2
            drawing.box(240, middle - 15, 146, 30, AMBER, dashed=True)
            drawing.text(313, middle + 5, takes, anchor="middle")
            drawing.line(238, middle, 194, middle, arrow=True)
    return drawing


def client_and_server() -> Drawing:
    """Who computes what, and what travels."""
    drawing = Drawing(400, 376, "What the client does and what the server does")
    for x, name, fill in ((12, "client", GREEN), (212, "server", BLUE)):
        drawing.box(x, 12, 176, 352, fill)
        drawing.text(x + 88, 34, name, anchor="middle", bold=True)
    rows = [
        (22, 50, "generate keys", "the secret key stays"),
        (22, 122, "quantize, encrypt", "floats to ciphertexts"),
        (222, 194, "run the program", "sums are nearly free,"),
        (22, 282, "decrypt, decode", "integers to floats,"),
    ]
    for x, y, name, note in rows:
        drawing.box(x, y, 156, 48 if y < 180 else 66, PAPER)
        drawing.text(x + 78, y + 20, name, anchor="middle", bold=True)
        drawing.text(x + 78, y + 37, note, anchor="middle", fill=SOFT, size=12)
    drawing.text(300, 247, "a lookup is a bootstrap", anchor="middle", fill=SOFT, size=12)
    drawing.text(100, 335, "then the model's tail", anchor="middle", fill=SOFT, size=12)
    drawing.line(180, 74, 246, 74, 246, 192, arrow=True)
    drawing.text(256, 78, "evaluation keys,", size=12)
    drawing.text(256, 93, "once", size=12)
    drawing.line(180, 146, 286, 146, 286, 192, arrow=True)
    drawing.text(296, 150, "ciphertexts", size=12)
    drawing.line(300, 262, 300, 315, 182, 315, arrow=True)
    drawing.text(308, 308, "ciphertexts", size=12)
    return drawing


def encrypted_tensor() -> Drawing:
    """A register, and how its decode grows from node to node."""
    rows = [
        ("input x", "q: 4 bits", "s·q + o", "", GREEN),
        ("Gemm", "r = q @ W", "t[c]·r + u[c]", "no lookup", BLUE),
        ("BatchNormalization", "the same r", "a[c]·(t[c]·r + u[c]) + b[c]", "no lookup", BLUE),
        ("Relu", "the same r", "max(0, …)", "no lookup", BLUE),
        ("next Gemm: round", "r, fewer bits", "max(0, …)", "free, or a bootstrap a bit", AMBER),
        ("next Gemm: lookup", "p = table[c][r]", "s′[c]·p + o′[c]", "a bootstrap each", RED),
        ("next Gemm: product", "r′ = p @ W′", "t′[c]·r′ + u′[c]", "no lookup", BLUE),
    ]
    tall, gap = 50, 12
    height = 46 + len(rows) * (tall + gap)
    drawing = Drawing(420, height, "Registers and decodes through two layers")
    drawing.text(94, 26, "what the server holds", anchor="middle", fill=SOFT, size=12)
    drawing.text(290, 26, "what it stands for (decode)", anchor="middle", fill=SOFT, size=12)
    for place, (node, register, decode, cost, fill) in enumerate(rows):
        y = 38 + place * (tall + gap)
        drawing.box(12, y, 164, tall, fill)
        drawing.text(94, y + 20, node, anchor="middle", bold=True)
        drawing.text(94, y + 39, register, anchor="middle", mono=True, size=12)
        drawing.box(192, y, 216, tall, PAPER, dashed=True)
        drawing.text(300, y + (20 if cost else 30), decode, anchor="middle", mono=True, size=12)
        color = DARK_RED if fill == RED else SOFT
        drawing.text(300, y + 39, cost, anchor="middle", fill=color, size=12)
        if place:
            drawing.line(94, y - gap, 94, y - 1, arrow=True)
    return drawing


def lookup_cost() -> Drawing:
    """Complexity of one lookup by width, on a logarithmic scale."""
    widths = range(1, 11)
    series = {"result read at 5 bits": (5.0, DARK_BLUE), "at 12 bits": (12.0, DARK_AMBER)}
    drawing = Drawing(420, 322, "Complexity of one lookup by the bits that enter it")
    left, bottom, step, decade = 58, 262, 34.0, 72.0

    def height(cost: float) -> float:
        return (math.log10(cost) - 7.2) * decade

    drawing.text(12, 24, "complexity of one lookup", fill=SOFT, size=12)
    for power in (8, 9, 10):
        y = bottom - height(10.0**power)
        drawing.line(left, y, 408, y, stroke=LINE)
        drawing.text(left - 6, y + 4, f"1e{power}", anchor="end", fill=SOFT, size=12)
    for place, width in enumerate(widths):
        x = left + 8 + place * step
        for number, (demand, color) in enumerate(series.values()):
            tall = height(lookup_complexity(width, demand))
            drawing.bar(x + 12 * number, bottom - tall, 11, tall, color)
        drawing.text(x + 12, bottom + 16, str(width), anchor="middle", size=12)
    drawing.line(left, bottom, 408, bottom)
    drawing.text(233, bottom + 34, "bits that enter the table", anchor="middle", fill=SOFT, size=12)
    for number, (name, (_, color)) in enumerate(series.items()):
        x = 60 + 180 * number
        drawing.bar(x, bottom + 43, 11, 11, color)
        drawing.text(x + 17, bottom + 53, name, size=12)
    return drawing


def bits_of_a_layer() -> Drawing:
    """Widths in a neuron of the digits network at four bits, from its program."""
    data = np.load(DIGITS / "digits.npz")
    module = cml.NumpyModule.from_onnx(DIGITS / "digits.onnx")
    quantized = cml.quantize(module, data["calibration"], n_bits=4)
    program = quantized.program
    (pixels,) = quantized.quantize_inputs({"pixels": data["calibration"]})
    (product, *_) = _of(program, Opcode.MATMUL)
    (rounding, *_) = _of(program, Opcode.ROUND)
    (lookup, *_) = _of(program, Opcode.LOOKUP)
    weight, pixels = product.constants["weight"], pixels.reshape(len(pixels), -1)
    # A neuron like most: the one in the middle by its largest weight.
    neuron = int(np.argsort(np.abs(weight).max(axis=0), kind="stable")[weight.shape[1] // 2])
    weight = weight[:, neuron]
    top = int(program.instructions[0].interval.high)
    rows: list[tuple[str, int, int]] = [
        ("a pixel", bit_width(0, top), bit_width(0, int(pixels.max()))),
        ("a weight", bit_width(int(weight.min()), int(weight.max())), 0),
    ]
    order = np.argsort(-np.abs(weight), kind="stable")
    for terms in (1, 4, 16, 64):
        some, seen = weight[order[:terms]], pixels[:, order[:terms]] @ weight[order[:terms]]
        low, high = top * int(np.minimum(some, 0).sum()), top * int(np.maximum(some, 0).sum())
        name = "a product" if terms == 1 else f"a sum of {terms}"
        rows.append((name, bit_width(low, high), bit_width(int(seen.min()), int(seen.max()))))
    taken = rounding.interval.width
    kept = taken - int(rounding.attributes["lsbs"])
    rows += [
        ("shifted", 0, taken),
        ("rounded", 0, kept),
        ("from the table", 0, bit_width(0, int(lookup.constants["tables"].max()))),
    ]
    drawing = Drawing(420, 66 + 27 * len(rows), "Bits in a neuron of 64 inputs at four bits")
    left, unit = 112, 205 / max(max(proven, seen) for _, proven, seen in rows)
    for place, (name, proven, seen) in enumerate(rows):
        y = 14 + place * 27
        drawing.text(left - 8, y + 14, name, anchor="end")
        drawing.bar(left, y, unit * max(proven, seen), 18, "#c9d8ee")
        color = DARK_RED if name == "rounded" else DARK_BLUE
        drawing.bar(left, y, unit * (seen or proven), 18, color)
        words = f"{seen}, {proven} proven" if 0 < seen < proven else f"{seen or proven}"
        drawing.text(left + unit * max(proven, seen) + 5, y + 14, words, size=12)
    y = 14 + 27 * len(rows) + 8
    for x, color, words in (
        (14, DARK_BLUE, "bits, as seen on data"),
        (178, "#c9d8ee", "proven"),
        (250, DARK_RED, "bits that enter the table"),
    ):
        drawing.bar(x, y, 11, 11, color)
        drawing.text(x + 16, y + 10, words, size=12)
    drawing.text(
        14,
        y + 32,
        "a neuron of the digits network, largest weights first",
        fill=SOFT,
        size=12,
    )
    return drawing


def _of(program: Program, opcode: Opcode) -> Iterator[Instruction]:
    return (instruction for instruction in program.instructions if instruction.opcode is opcode)


def integer_program() -> Drawing:
    """All instructions of the small model."""
    module = cml.NumpyModule.from_onnx(onnx.parser.parse_model(SMALL))
    samples = np.random.default_rng(0).uniform(-1, 1, (200, 2)).astype(np.float32)
    program = cml.quantize(module, samples, n_bits=3).program
    tall, gap = 44, 18
    height = 50 + len(program.instructions) * (tall + gap)
    drawing = Drawing(420, height, "The integer program of a network of two layers")
    drawing.text(104, 24, "instruction", anchor="middle", fill=SOFT, size=12)
    drawing.text(310, 24, "its result", anchor="middle", fill=SOFT, size=12)
    fills = {Opcode.INPUT: GREEN, Opcode.LOOKUP: RED, Opcode.ROUND: AMBER}
    for place, instruction in enumerate(program.instructions):
        y = 36 + place * (tall + gap)
        opcode, interval = instruction.opcode, instruction.interval
        drawing.box(44, y, 152, tall, fills.get(opcode, BLUE))
        drawing.text(30, y + 27, str(place), anchor="middle", fill=SOFT)
        drawing.text(120, y + 19, opcode.value, anchor="middle", bold=True)
        words = instruction.node
        if opcode is Opcode.ROUND:
            words = f"{instruction.attributes['lsbs']} bits off"
        drawing.text(120, y + 36, words, anchor="middle", fill=SOFT, size=12)
        shape = " × ".join(map(str, instruction.shape))
        drawing.text(212, y + 19, f"{shape} in [{interval.low}, {interval.high}]")
        note = f"{interval.width} bits"
        if opcode is Opcode.ROUND:
            note += f", {instruction.attributes['lsbs']} small bootstraps each"
        elif opcode is Opcode.LOOKUP:
            note += f" from {lookup_width(program, instruction)}, a bootstrap each"
        drawing.text(
            212,
            y + 36,
            note,
            fill=DARK_RED if opcode in (Opcode.LOOKUP, Opcode.ROUND) else SOFT,
            size=12,
        )
        for source in instruction.inputs:
            if source == place - 1:
                drawing.line(120, y - gap, 120, y - 1, arrow=True)
    return drawing


PICTURES: dict[str, Callable[[], Drawing]] = {
    "pipeline": pipeline,
    "client-and-server": client_and_server,
    "encrypted-tensor": encrypted_tensor,
    "lookup-cost": lookup_cost,
    "bits-of-a-layer": bits_of_a_layer,
    "integer-program": integer_program,
}

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def alike(one: str, other: str) -> bool:
    """Whether two pictures have the same words, and numbers that are nearly the same."""
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return False
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return all(math.isclose(float(a), float(b), rel_tol=0.05, abs_tol=1.5) for a, b in pairs)


def main() -> int:
    """Write the pictures, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit with status 1 if one is stale")
    check = parser.parse_args().check
    stale = []
    for name, draw in PICTURES.items():
        path, picture = IMAGES / f"{name}.svg", draw().svg()
        if not check:
            path.write_text(picture, encoding="utf-8")
        elif not path.exists() or not alike(path.read_text(encoding="utf-8"), picture):
            stale.append(path.name)
    if stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run python docs/draw.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
