"""Compiled code on disk belongs to the sources it was made of, those of what it calls included."""

import os
import subprocess
import sys
from pathlib import Path

import events

CALLER = """
import numba
from events.called import number
from events.compiled import keep_fresh

@numba.njit(cache=True)
def ask():
    return number() + 0

keep_fresh()
"""


def _ask(room: Path, number: int) -> str:
    (room / "called.py").write_text(f"import numba\n\n@numba.njit(cache=True)\ndef number():\n    return {number}\n")
    os.utime(room / "called.py", ns=(0, 0))
    command = [sys.executable, "-c", "from events.caller import ask; print(ask())"]
    done = subprocess.run(command, cwd=room.parent, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_change_in_what_is_called_is_seen(tmp_path: Path) -> None:
    room = tmp_path / "events"
    room.mkdir()
    (room / "__init__.py").touch()
    (room / "caller.py").write_text(CALLER)
    source = Path(events.__file__).with_name("compiled.py")
    (room / "compiled.py").write_bytes(source.read_bytes())
    assert [_ask(room, number) for number in (1, 2, 2)] == ["1", "2", "2"]
    assert list((room / "__pycache__").glob("*.nbc"))
