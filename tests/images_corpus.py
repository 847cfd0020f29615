"""Drawn, harmless pictures in every shape that decoders stumble over."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

REASONS = {
    "missing",
    "outside",
    "no_decoder",
    "empty",
    "truncated",
    "not_an_image",
    "unsupported",
    "too_large",
    "too_many_pixels",
    "too_slow",
    "bad_array",
    "url",
    "unreadable",
}
"""What a refusal may say, of `types.Failure`; `engine` is not for images."""


def gradient(height=20, width=40):
    """RGB ramps with a white corner at the top left, so that no turn or swap looks the same."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8)
    pixels[: height // 4, : width // 4] = 255
    return pixels


def encode(image, fmt="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def animation(colours, durations, fmt="GIF", size=(8, 8)):
    first, *rest = [Image.new("RGB", size, colour) for colour in colours]
    options = {"lossless": True} if fmt == "WEBP" else {}
    return encode(
        first, fmt, save_all=True, append_images=rest, duration=list(durations), **options
    )


def png(width, height, depth, colour_type, rows, *, transparent=b""):
    """A PNG written by hand, for what Pillow cannot save; `rows` without filter bytes."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    parts = [
        chunk(b"IHDR", header),
        transparent and chunk(b"tRNS", transparent),
        chunk(b"IDAT", data),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IEND", b"")])


def red_green_profile():
    """An sRGB profile whose red and green primaries are swapped: red is shown as green."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tmpX").replace(b"gXYZ", b"rXYZ").replace(b"tmpX", b"gXYZ")


def valid_files():
    """One small valid file per format and unusual feature."""
    rgb = Image.fromarray(gradient(12, 16))
    rgba = rgb.copy()
    rgba.putalpha(Image.linear_gradient("L").resize(rgb.size))
    exif = Image.Exif()
    exif[274] = 6
    moving = ["red", "green", "blue"], [100, 900, 50]
    return {
        "rgb.png": encode(rgb),
        "rgba.png": encode(rgba),
        "palette.png": encode(rgb.quantize(16)),
        "bilevel.png": encode(rgb.convert("1")),
        "deep.png": encode(Image.fromarray(np.arange(192, dtype=np.uint16).reshape(12, 16) * 341)),
        "profile.png": encode(rgb, icc_profile=red_green_profile()),
        "turned.jpg": encode(rgb, "JPEG", exif=exif),
        "progressive.jpg": encode(rgb, "JPEG", progressive=True),
        "cmyk.jpg": encode(rgb.convert("CMYK"), "JPEG"),
        "lossy.webp": encode(rgb, "WEBP"),
        "alpha.webp": encode(rgba, "WEBP", lossless=True),
        "still.avif": encode(rgb, "AVIF"),
        "still.bmp": encode(rgb, "BMP"),
        "still.jp2": encode(rgb, "JPEG2000"),
        "still.ppm": encode(rgb, "PPM"),
        "still.qoi": encode(rgb, "QOI"),
        "lzw.tif": encode(rgb, "TIFF", compression="tiff_lzw"),
        "float.tif": encode(rgb.convert("L").convert("F"), "TIFF"),
        "pages.tif": animation(*moving, "TIFF"),
        "moving.gif": animation(*moving),
        "moving.png": animation(*moving, "PNG"),
        "moving.webp": animation(*moving, "WEBP"),
        "moving.avif": animation(*moving, "AVIF"),
    }
