"""The screenshots of the README, and how they are compressed; `python -m docs.screenshots` takes them."""

import re
import struct
import zlib

import pytest

from cogo_dagster.settings import PROJECT_ROOT
from docs import screenshots


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("page", ["README.md", "README.ko.md"])
def test_each_screenshot_exists_and_is_small(page: str) -> None:
    """Two images are shown, each a PNG of at most 200 kB that the script writes."""
    names = re.findall(r"\]\(docs/images/(\w+)\.png\)", (PROJECT_ROOT / page).read_text(encoding="utf-8"))
    assert names == ["dashboard", "dagster"]
    for name in names:
        image = (screenshots.FOLDER / f"{name}.png").read_bytes()
        assert image.startswith(b"\x89PNG\r\n")
        assert len(image) <= screenshots.MAX_BYTES


def test_compression_keeps_the_pixels() -> None:
    """The chunks of the image data become one, and text chunks are removed."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0))
    pixels = b"\x00" + bytes(64)
    data = zlib.compress(pixels * 64, 0)
    parts = [chunk(b"IDAT", data[:100]), chunk(b"IDAT", data[100:]), chunk(b"tEXt", b"Software\x00none")]
    original = b"\x89PNG\r\n\x1a\n" + header + b"".join(parts) + chunk(b"IEND", b"")
    small = screenshots._recompressed(original)
    kept = b"\x89PNG\r\n\x1a\n" + header
    assert small.startswith(kept)
    [size] = struct.unpack(">I", small[len(kept) : len(kept) + 4])
    assert zlib.decompress(small[len(kept) + 8 : len(kept) + 8 + size]) == pixels * 64
    assert small.endswith(chunk(b"IEND", b""))
    assert len(small) < len(original)
