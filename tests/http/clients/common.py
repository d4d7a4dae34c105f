"""What both clients' tests need: pictures to send, and what links answer with."""

import base64
import hashlib
import os
import struct
import urllib.request
import zlib

URL = os.environ["DARKROOM_URL"]
KEY = os.environ["DARKROOM_KEY"]
API = f"{URL}/api/"


def chunk(kind, body):
    """One chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, colour):
    """A PNG file whose pixels are `colour(x, y)`."""
    rows = b"".join(
        b"\0" + b"".join(bytes(colour(x, y)) for x in range(width)) for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def base64_png(width=64, height=64, colour=lambda x, y: (x * 4 % 256, y * 4 % 256, 128)):
    """The same as text."""
    return base64.b64encode(png(width, height, colour)).decode()


def mask():
    """White where it is painted anew: the right half."""
    return base64_png(colour=lambda x, y: (255,) * 3 if x >= 32 else (0,) * 3)


def picture(link):
    """What a link answers with: size of a PNG file, and its hash."""
    with urllib.request.urlopen(link) as response:
        assert response.headers["Content-Type"] == "image/png", response.headers["Content-Type"]
        body = response.read()
    assert body[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", body[16:24]), hashlib.sha256(body).hexdigest()
