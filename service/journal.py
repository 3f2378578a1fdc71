"""The log of the embedded service: facts as NDJSON in append-only segments, on disk before anyone is told so.

A position is a count of bytes since the beginning of time.  A segment is named after the position it begins at,
so the newest position is the newest name plus its size, and a pruned past does not move what is left.  A line
that a crash cut off was promised to nobody, so it is cut away on opening.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from service.errors import StoreError

SEGMENT_BYTES = 64 << 20
SNAPSHOT_MAGIC = b"adwatch-snapshot 1 "


class Journal:
    """Facts on disk in the order in which they were accepted. One process at a time."""

    def __init__(self, directory: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.directory = directory
        self._segment_bytes = segment_bytes
        self._lock = _lock(directory)
        segments = self._segments()
        self._start = segments[-1] if segments else 0
        self._file = self._open(self._start)
        self.position = self._start + _cut_torn_line(self._file)

    def append(self, lines: bytes) -> int:
        """Write ``lines`` (each ending in a newline), on disk when this returns; the position after them.

        Raises :class:`StoreError` when the disk refuses; nothing of ``lines`` counts then.
        """
        if not lines:
            return self.position
        try:
            if self.position - self._start >= self._segment_bytes:
                self._roll()
            self._file.write(lines)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self._undo()
            raise StoreError(f"{self.directory}: cannot write the journal: {error.strerror}") from error
        self.position += len(lines)
        return self.position

    def read_from(self, position: int, chunk_bytes: int = 8 << 20) -> Iterator[bytes]:
        """Whole lines from ``position`` on, some megabytes at a time."""
        for start, end in self._extents():
            if end <= position:
                continue
            with self._path(start).open("rb") as file:
                file.seek(max(0, position - start))
                yield from _whole_lines(file, chunk_bytes)

    def save_snapshot(self, data: bytes, position: int) -> None:
        """Keep ``data`` as the state after everything before ``position``; older segments go."""
        path = self.directory / "snapshot"
        fresh = path.with_suffix(".new")
        try:
            with fresh.open("wb") as file:
                file.write(SNAPSHOT_MAGIC + b"%d %d\n" % (position, len(data)) + data)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            _sync_directory(self.directory)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            raise StoreError(f"{path}: cannot write the snapshot: {error.strerror}") from error
        for start, end in self._extents():
            if end <= position and start != self._start:
                self._path(start).unlink()

    def load_snapshot(self) -> tuple[bytes, int] | None:
        """The newest snapshot and its position; ``None`` where there is none."""
        try:
            raw = (self.directory / "snapshot").read_bytes()
        except FileNotFoundError:
            return None
        head, _, data = raw.partition(b"\n")
        fields = head.removeprefix(SNAPSHOT_MAGIC).split()
        if not head.startswith(SNAPSHOT_MAGIC) or len(fields) != 2 or len(data) != int(fields[1]):
            raise StoreError(f"{self.directory / 'snapshot'}: not a snapshot of this version")
        return data, int(fields[0])

    def close(self) -> None:
        """Close the files and let another process have the directory."""
        with suppress(OSError):
            self._file.close()
        self._lock.close()

    def _segments(self) -> list[int]:
        return sorted(int(path.stem) for path in self.directory.glob("*.ndjson") if path.stem.isdigit())

    def _extents(self) -> list[tuple[int, int]]:
        return [(start, start + self._path(start).stat().st_size) for start in self._segments()]

    def _path(self, start: int) -> Path:
        return self.directory / f"{start:020d}.ndjson"

    def _open(self, start: int) -> IO[bytes]:
        try:
            file = self._path(start).open("ab+")
            _sync_directory(self.directory)
        except OSError as error:
            raise StoreError(f"{self.directory}: cannot write the journal: {error.strerror}") from error
        return file

    def _roll(self) -> None:
        fresh = self._open(self.position)
        self._file.close()
        self._file, self._start = fresh, self.position

    def _undo(self) -> None:
        """Take back what a failed write left: the buffer of the old file object, and half a line on disk."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            os.truncate(self._path(self._start), self.position - self._start)
        self._file = self._path(self._start).open("ab+")


def _lock(directory: Path) -> IO[bytes]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / "lock").open("ab")
    except OSError as error:
        raise StoreError(f"{directory}: cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise StoreError(f"{directory}: another adwatch process is using this store") from None
    return file


def _cut_torn_line(file: IO[bytes]) -> int:
    """Truncate ``file`` after its last newline; its size then."""
    size = file.seek(0, os.SEEK_END)
    end = size
    while end > 0:
        start = max(0, end - (1 << 20))
        file.seek(start)
        cut = file.read(end - start).rfind(b"\n")
        if cut >= 0:
            end = start + cut + 1
            break
        end = start
    if end < size:
        file.truncate(end)
    file.seek(end)
    return end


def _whole_lines(file: IO[bytes], chunk_bytes: int) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(chunk_bytes):
        whole, newline, tail = chunk.rpartition(b"\n")
        if newline:
            yield rest + whole + newline
            rest = tail
        else:
            rest += chunk


def _sync_directory(directory: Path) -> None:
    """A new or renamed file is safe only when its directory is on disk too."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
