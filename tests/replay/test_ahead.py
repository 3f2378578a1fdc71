"""Reading ahead: the same items in order, bounded, errors and all."""

import threading
from collections.abc import Iterator

import pytest

from replay.ahead import ahead


def test_items_come_in_order_and_the_error_after_those_before_it() -> None:
    def some() -> Iterator[int]:
        yield from range(100)
        raise ValueError("broken")

    got: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        got.extend(ahead(some()))
    assert got == list(range(100))


def test_no_more_is_made_than_was_allowed() -> None:
    made: list[int] = []
    reached = threading.Event()

    def some() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            if number == 3:
                reached.set()
            yield number

    items = ahead(some(), most=3)
    assert next(items) == 0
    assert reached.wait(10)
    # one was taken, three lie ready, and the next may wait for room
    assert len(made) <= 5


def test_who_stops_asking_ends_the_thread() -> None:
    def forever() -> Iterator[int]:
        while True:
            yield 1

    items = iter(ahead(forever()))
    assert next(items) == 1
    mine = [thread for thread in threading.enumerate() if thread.name == "ahead"]
    assert mine
    items.close()  # type: ignore[attr-defined]
    for thread in mine:
        thread.join(10)
        assert not thread.is_alive()
