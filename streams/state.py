"""The pipeline's state as bytes and back: arrays and plain values, versioned, compressed, no pickle.

Layout: 8 bytes magic with the version, then zstd of (4 bytes length, JSON header, raw little-endian arrays in order).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

MAGIC = b"ADWATCH1"
Arrays = Mapping[str, NDArray[Any]]


class UnknownState(Exception):
    """The bytes are no state of this version; whoever stored them can only replay the log."""


def pack(arrays: Arrays, plain: Mapping[str, Any]) -> bytes:
    """Arrays and plain values as bytes.

    >>> arrays, plain = unpack(pack({"a": np.arange(3)}, {"tick_ms": 5}))
    >>> arrays["a"].tolist(), plain
    ([0, 1, 2], {'tick_ms': 5})
    """
    parts = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = msgspec.json.encode(
        {"arrays": {n: [a.dtype.str, list(a.shape)] for n, a in parts.items()}, "plain": plain}
    )
    body = b"".join([struct.pack("<I", len(header)), header, *(a.tobytes() for a in parts.values())])
    return MAGIC + zstandard.ZstdCompressor(level=1).compress(body)


def unpack(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The inverse of :func:`pack`. Raises :class:`UnknownState` for anything else."""
    if not data.startswith(MAGIC):
        raise UnknownState(f"state begins with {data[:8]!r}, not {MAGIC!r}")
    body = zstandard.ZstdDecompressor().decompress(data[len(MAGIC) :])
    (length,) = struct.unpack_from("<I", body)
    header = msgspec.json.decode(body[4 : 4 + length])
    arrays, at = {}, 4 + length
    for name, (dtype, shape) in header["arrays"].items():
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(body, np.dtype(dtype), count, at).reshape(shape).copy()
        at += count * np.dtype(dtype).itemsize
    return arrays, header["plain"]
