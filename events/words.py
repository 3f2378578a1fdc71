"""Eight bytes of a text at a time, for compiled code: found, read and hashed without a branch for each.

Texts handed to compiled code end in ``PADDING``, so that reading a little beyond a line stays inside them.

>>> text = np.frombuffer(b"adwatch" + PADDING, np.uint8)
>>> hex(word(text, 0))
'0x68637461776461'
>>> int(hash_of(text, 0, 7)) == int(hash_of(np.frombuffer(b"--adwatch" + PADDING, np.uint8), 2, 9))
True
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

Text = NDArray[np.uint8]
PADDING = bytes(64)


@intrinsic  # type: ignore[untyped-decorator]
def _pointer(_: Any, address: Any) -> Any:
    def cast(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.inttoptr(given[0], context.get_value_type(signature.return_type))

    return types.voidptr(address), cast


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def unowned(some: Any) -> Any:
    """The same array without its owner, whose uses compiled code would count, atomically, at every call.

    The caller keeps the array alive.
    """
    return numba.carray(_pointer(some.ctypes.data), some.shape, some.dtype)


_FACTOR = np.uint64(0xC6A4A7935BD1E995)
_SHIFT = np.uint64(47)
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_PLACES = np.uint64(0x0001_0203_0405_0607)
_ZEROS = np.uint64(0x3030_3030_3030_3030)
_TEN_AND_UP = np.uint64(0x7676_7676_7676_7676)
HIGH_BITS = np.uint64(0x8080_8080_8080_8080)


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def word(text: Text, at: int) -> np.uint64:
    """The eight bytes from ``at`` on, the first one lowest; the compiler makes one load of it."""
    i = np.uint64(at)
    low = np.uint64(text[i]) | np.uint64(text[i + np.uint64(1)]) << np.uint64(8)
    low |= np.uint64(text[i + np.uint64(2)]) << np.uint64(16) | np.uint64(text[i + np.uint64(3)]) << np.uint64(24)
    low |= np.uint64(text[i + np.uint64(4)]) << np.uint64(32) | np.uint64(text[i + np.uint64(5)]) << np.uint64(40)
    low |= np.uint64(text[i + np.uint64(6)]) << np.uint64(48) | np.uint64(text[i + np.uint64(7)]) << np.uint64(56)
    return low


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def first_bytes(some: np.uint64, size: int) -> np.uint64:
    """``some`` with all but its first ``size`` bytes (up to eight) made zero."""
    return some if size >= 8 else some & ~(_ALL << np.uint64(8 * size))


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def hash_of(text: Text, start: int, end: int) -> np.uint64:
    """Sixty-four bits of the bytes from ``start`` up to ``end``: the well-known MurmurHash64A, seed 0."""
    mixed = np.uint64(end - start) * _FACTOR
    at = start
    while at + 8 <= end:
        part = word(text, at) * _FACTOR
        mixed = (mixed ^ (part ^ part >> _SHIFT) * _FACTOR) * _FACTOR
        at += 8
    if at < end:
        mixed = (mixed ^ first_bytes(word(text, at), end - at)) * _FACTOR
    mixed = (mixed ^ mixed >> _SHIFT) * _FACTOR
    return mixed ^ mixed >> _SHIFT


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def place_of_first(marks: np.uint64) -> Any:
    """Which byte is the first that has its highest bit set; no other bit may be set anywhere.

    >>> int(place_of_first(np.uint64(0x8000_0080_0000)))
    2
    """
    lowest = marks & ~marks + np.uint64(1)
    return np.int64((lowest >> np.uint64(7)) * _PLACES >> np.uint64(56))


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def leading_digits(some: np.uint64) -> tuple[Any, Any]:
    """How many of the eight bytes, from the first on, are decimal digits, and the number they make.

    >>> text = np.frombuffer(b"2026-01-05" + PADDING, np.uint8)
    >>> [int(number) for number in leading_digits(word(text, 0))]
    [4, 2026]
    """
    digits = some ^ _ZEROS
    others = (digits + _TEN_AND_UP | digits) & HIGH_BITS
    count = place_of_first(others) if others != 0 else 8
    if count == 0:
        return 0, 0
    # zeros take the place of what is missing in front; then neighbours are joined three times
    digits <<= np.uint64(64 - 8 * count)
    digits = digits * np.uint64(10) + (digits >> np.uint64(8)) & np.uint64(0x00FF_00FF_00FF_00FF)
    digits = digits * np.uint64(100) + (digits >> np.uint64(16)) & np.uint64(0x0000_FFFF_0000_FFFF)
    digits = digits * np.uint64(10_000) + (digits >> np.uint64(32)) & np.uint64(0xFFFF_FFFF)
    return count, np.int64(digits)
