"""One way to drive many detectors of a kind at once: a step is one reading of each series, a row of an array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from river.base import SupervisedAnomalyDetector

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Bank(Protocol):
    """Detectors of ``n`` series side by side, whether columns of arrays or ``n`` objects."""

    def step(self, values: Floats, active: Flags) -> Floats:
        """Judge, then learn row ``i`` of ``values[n, d]`` where ``active[i]``; scores ``[n]``, 0 where not active."""
        ...


class ObjectBank:
    """A bank of River objects, for models that know no arrays: a plain loop, one object per series.

    ``make`` gives a fresh detector; ``columns`` names the columns of ``values``: the last is the number that is
    judged (``y``), those before it are the features of ``x``.  ``grow`` adds series at the end.

    >>> from detectors.basket import BasketDrop
    >>> bank = ObjectBank(BasketDrop, ["value"], 2)
    >>> bank.step(np.array([[50.0], [np.nan]]), np.array([True, False])).tolist()
    [0.0, 0.0]
    """

    def __init__(self, make: Callable[[], SupervisedAnomalyDetector], columns: Sequence[str], n: int = 0) -> None:
        self.make = make
        self.columns = tuple(columns)
        self.detectors: list[SupervisedAnomalyDetector] = []
        self.grow(n)

    def __len__(self) -> int:
        return len(self.detectors)

    def grow(self, n: int) -> None:
        """Have at least ``n`` series; those that stand keep what they learned."""
        while len(self.detectors) < n:
            self.detectors.append(self.make())

    def step(self, values: Floats, active: Flags) -> Floats:
        """Judge, then learn; one column per name of ``columns``, one row per series."""
        if values.shape != (len(self), len(self.columns)) or active.shape != (len(self),):
            raise ValueError(f"values {values.shape} and active {active.shape} do not fit {len(self)} series")
        scores = np.zeros(len(self))
        for i in np.flatnonzero(active):
            *features, y = values[i].tolist()
            x = dict(zip(self.columns[:-1], features, strict=True))
            scores[i] = self.detectors[i].score_one(x, y)
            self.detectors[i].learn_one(x, y)
        return scores
