"""ImageDecoder: the pixels of an encoded image, of shape (height, width, channels).

It needs Pillow, of the extra `images`. As ONNX has it, what cannot be decoded gives an image
without pixels. Transparency is dropped, and of 16 bits for a channel the upper eight are kept.
"""

from __future__ import annotations

import io

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl

#: What ONNX lists, in Pillow's words; PPM stands for all of its kin.
_FORMATS = ("BMP", "JPEG", "JPEG2000", "TIFF", "PNG", "WEBP", "PPM")


def image_decoder(stream, *, pixel_format):
    if pixel_format not in ("RGB", "BGR", "Grayscale"):
        raise AttributeValueError("pixel_format", pixel_format, "RGB, BGR or Grayscale")
    try:
        from PIL import Image
    except ImportError as error:
        install = "Install it with: pip install 'cml[images]'"
        raise ImportError(f"Pillow is not installed. {install}") from error
    mode = "L" if pixel_format == "Grayscale" else "RGB"
    image = _decoded(Image, stream.tobytes())
    if image is None:
        return (np.zeros((0, 0, len(mode)), dtype=np.uint8),)
    pixels = np.asarray(image.convert(mode)).reshape(image.height, image.width, len(mode))
    return (np.ascontiguousarray(pixels[..., ::-1] if pixel_format == "BGR" else pixels),)


def _decoded(pillow, stream):
    """Return an image of eight bits for a channel, or None."""
    try:
        image = pillow.open(io.BytesIO(stream), formats=_FORMATS)
        image.load()
    except pillow.DecompressionBombError:
        # Not broken, but larger than Pillow agrees to.
        raise
    except Exception:
        return None
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        # Real numbers, and integers of 32 bits, do not say which of them is white.
        return None
    if image.mode.startswith("I"):
        # Pillow would cut numbers off at 255.
        return pillow.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))
    return image


@hookimpl
def cml_op():
    header, pixels = b"P6 2 1 255\n", [255, 128, 0, 1, 2, 3]
    picture = np.uint8([*header, *pixels])
    image = np.uint8(pixels).reshape(1, 2, 3)
    return OpPlugin(
        schema=OpSchema("ImageDecoder", since_versions=(20,)),
        numpy_op=image_decoder,
        examples=(
            OpExample((picture,), outputs=(image,), encrypted=(), name="colours"),
            OpExample(
                (picture,),
                {"pixel_format": "BGR"},
                (image[..., ::-1],),
                encrypted=(),
                name="blue first",
            ),
            OpExample(
                (np.uint8([*b"P5 2 1 255\n", 7, 9]),),
                {"pixel_format": "Grayscale"},
                (np.uint8([[[7], [9]]]),),
                encrypted=(),
                name="shades of grey",
            ),
            OpExample(
                (picture[:4],),
                outputs=(np.zeros((0, 0, 3), dtype=np.uint8),),
                encrypted=(),
                name="broken",
            ),
        ),
    )
