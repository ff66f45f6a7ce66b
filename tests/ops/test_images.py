"""ImageDecoder: formats, pixel formats, and what cannot be decoded."""

import builtins
import io

import numpy as np
import pytest

from tests.one_node import assert_refused, results

Image = pytest.importorskip("PIL.Image")

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return np.frombuffer(file.getvalue(), dtype=np.uint8)


def decoded(stream, pixel_format="RGB"):
    (image,) = results("ImageDecoder", [stream], opset=20, pixel_format=pixel_format)
    assert image.dtype == np.uint8
    return image


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "JPEG2000", "JPEG"])
def test_colours_come_in_either_order_or_as_grey(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    stream = encoded(Image.fromarray(PIXELS), kind, **options)
    colours = decoded(stream)
    assert colours.shape == PIXELS.shape
    if kind != "JPEG":
        np.testing.assert_array_equal(colours, PIXELS)
    np.testing.assert_array_equal(decoded(stream, "BGR"), colours[..., ::-1])
    grey = colours @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(decoded(stream, "Grayscale")[..., 0], grey, atol=1.01)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK"])
@pytest.mark.parametrize("pixel_format", ["RGB", "BGR", "Grayscale"])
def test_every_kind_of_image_becomes_the_one_asked_for(mode, pixel_format):
    image = Image.fromarray(PIXELS).convert(mode)
    stream = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    wanted = np.array(image.convert("L" if pixel_format == "Grayscale" else "RGB"))
    wanted = wanted.reshape(5, 7, -1)[..., :: -1 if pixel_format == "BGR" else 1]
    np.testing.assert_array_equal(decoded(stream, pixel_format), wanted)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_of_sixteen_bits_the_upper_ones_are_kept(kind):
    deep = PIXELS[..., 0].astype(np.uint16) * 256 + PIXELS[..., 1]
    if kind == "PPM":  # Pillow below 11 reads it and does not write it.
        stream = np.frombuffer(b"P5 7 5 65535\n" + deep.astype(">u2").tobytes(), np.uint8)
    else:
        stream = encoded(Image.fromarray(deep), kind)
    np.testing.assert_array_equal(decoded(stream, "Grayscale")[..., 0], PIXELS[..., 0])
    np.testing.assert_array_equal(decoded(stream)[..., 2], PIXELS[..., 0])


@pytest.mark.parametrize(("pixel_format", "channels"), [("RGB", 3), ("Grayscale", 1)])
def test_what_cannot_be_decoded_is_an_image_without_pixels(pixel_format, channels):
    whole = encoded(Image.fromarray(PIXELS), "PNG")
    other = encoded(Image.fromarray(PIXELS), "GIF")
    real = encoded(Image.fromarray(PIXELS[..., 0].astype(np.float32)), "TIFF")
    for stream in (whole[:0], whole[:20], whole[:60], PIXELS.reshape(-1), other, real):
        assert decoded(stream, pixel_format).shape == (0, 0, channels)


def test_an_unknown_pixel_format_is_refused():
    match = "pixel_format is 'HSV', expected RGB, BGR or Grayscale"
    assert_refused(match, "ImageDecoder", [PIXELS.reshape(-1)], opset=20, pixel_format="HSV")


def test_without_pillow_the_extra_is_named(monkeypatch):
    original = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "PIL":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert_refused(r"pip install 'cml\[images\]'", "ImageDecoder", [PIXELS.reshape(-1)], opset=20)
