"""Compiled code that is kept on disk, made sure to be that of these very sources.

Numba takes compiled code for fresh as long as the file of the function itself is the same, though what it calls may
have changed.  Here it is fresh as long as all sources that are compiled are the same.
"""

from __future__ import annotations

import sys
from functools import cache
from hashlib import blake2b
from pathlib import Path

from numba.core.registry import CPUDispatcher

ROOMS = ("events", "detectors", "streams")


def keep_fresh() -> None:
    """Let all compiled functions of the modules imported so far depend on all sources; called before they run."""
    stamp = _sources()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ROOMS:
            for found in list(vars(module).values()):
                file = getattr(getattr(found, "_cache", None), "_cache_file", None)
                if isinstance(found, CPUDispatcher) and file is not None:
                    file._source_stamp = stamp


@cache
def _sources() -> str:
    """A hash of all files that hold compiled functions."""
    root = Path(__file__).parents[1]
    texts = (path.read_bytes() for room in ROOMS for path in sorted((root / room).rglob("*.py")))
    found = blake2b(digest_size=16)
    for text in texts:
        if b"numba" in text:
            found.update(text)
    return found.hexdigest()
