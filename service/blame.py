"""Whose fault an error of any room is: the exit status and the sentence a person reads."""

from __future__ import annotations

INPUT_IS_WRONG = 2
RUN_FAILED = 1


def verdict(error: Exception) -> tuple[int, str] | None:
    """Exit status and message for a known error; ``None`` for a defect of ours, which deserves its traceback."""
    for status, kinds in ((INPUT_IS_WRONG, _callers()), (RUN_FAILED, _ours())):
        if isinstance(error, kinds):
            return status, str(error)
    if isinstance(error, OSError) and error.strerror is not None:
        named = f"{error.filename}: " if error.filename else ""
        return RUN_FAILED, f"{named}{error.strerror}"
    return None


def _callers() -> tuple[type[Exception], ...]:
    from events.errors import EventsError
    from replay.history import HistoryError
    from replay.labels import LabelError
    from service.errors import CallerError

    return (CallerError, EventsError, HistoryError, LabelError)


def _ours() -> tuple[type[Exception], ...]:
    from service.errors import ServiceError
    from streams.on_kafka import WorkerError
    from streams.shard import RowError
    from streams.topics import BrokerError

    return (ServiceError, BrokerError, RowError, WorkerError)
