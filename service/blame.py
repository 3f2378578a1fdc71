"""Whose fault an error of any room is: the exit status and the sentence a person reads."""

from __future__ import annotations

import sys

INPUT_IS_WRONG = 2
RUN_FAILED = 1
_CALLERS = (
    ("service.errors", "CallerError"),
    ("events.errors", "EventsError"),
    ("replay.history", "HistoryError"),
    ("replay.labels", "LabelError"),
    ("detectors.river_model", "ModelError"),
)
_OURS = (
    ("service.errors", "ServiceError"),
    ("notifiers.errors", "NotifierError"),
    ("streams.on_kafka", "WorkerError"),
    ("streams.shard", "RowError"),
    ("detectors.river_state", "StateError"),
    ("streams.state", "UnknownState"),
    ("streams.topics", "BrokerError"),
)


def verdict(error: Exception) -> tuple[int, str] | None:
    """Exit status and message for a known error; ``None`` for a defect of ours, which deserves its traceback."""
    for status, kinds in ((INPUT_IS_WRONG, _loaded(_CALLERS)), (RUN_FAILED, _loaded(_OURS))):
        if isinstance(error, kinds):
            return status, str(error)
    if isinstance(error, OSError) and error.strerror is not None:
        named = f"{error.filename}: " if error.filename else ""
        return RUN_FAILED, f"{named}{error.strerror}"
    return None


def _loaded(names: tuple[tuple[str, str], ...]) -> tuple[type[Exception], ...]:
    """The types of rooms that are loaded: an error can come from no other, and loading one takes seconds."""
    modules = ((sys.modules.get(module), name) for module, name in names)
    return tuple(getattr(module, name) for module, name in modules if module is not None)
