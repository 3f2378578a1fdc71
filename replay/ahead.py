"""Reading ahead: while one block goes through the pipeline, a thread reads and decodes the next ones.

What reads and decodes is compiled and lets other threads run meanwhile, so on two cores the two overlap.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import TypeVar

MOST_AHEAD = 4
Item = TypeVar("Item")


def ahead(items: Iterator[Item], most: int = MOST_AHEAD) -> Iterator[Item]:
    """The same items in the same order, up to ``most`` made before they are asked for; raises what ``items`` raises.

    Who stops asking lets the thread end with the item it is at.

    >>> list(ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    made: SimpleQueue[tuple[Item] | BaseException | None] = SimpleQueue()
    room, closed = threading.Semaphore(most), threading.Event()

    def make() -> None:
        try:
            for item in items:
                made.put((item,))
                room.acquire()
                if closed.is_set():
                    return
            made.put(None)
        except BaseException as error:
            made.put(error)

    threading.Thread(target=make, name="ahead", daemon=True).start()
    try:
        while (got := made.get()) is not None:
            if isinstance(got, BaseException):
                raise got
            room.release()
            yield got[0]
    finally:
        closed.set()
        room.release()
