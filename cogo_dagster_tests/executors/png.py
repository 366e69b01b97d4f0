"""Decodes screenshots."""

import struct
import zlib


def pixels(png: bytes) -> tuple[int, int, bytes]:
    """Return the width, the height and the RGB values of a PNG (8 bit RGB or RGBA)."""
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    assert (depth, colour) in ((8, 2), (8, 6))
    parts, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            parts.append(png[at + 8 : at + 8 + length])
        at += 12 + length
    size = 3 if colour == 2 else 4
    raw, stride = zlib.decompress(b"".join(parts)), width * size
    above, found = bytearray(stride), bytearray()
    for row in range(height):
        start = row * (stride + 1)
        line = bytearray(raw[start + 1 : start + 1 + stride])
        _unfilter(raw[start], line, above, size)
        found += line if size == 3 else b"".join(line[n : n + 3] for n in range(0, stride, 4))
        above = line
    return width, height, bytes(found)


def _unfilter(kind: int, line: bytearray, above: bytearray, size: int) -> None:
    for n in range(len(line)) if kind else ():
        left, up = line[n - size] if n >= size else 0, above[n]
        corner = above[n - size] if n >= size else 0
        line[n] = (line[n] + (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]) % 256


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    return min((left, up, corner), key=lambda value: abs(estimate - value))
