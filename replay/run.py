"""A replay: a history through the very pipeline that runs live, with the ticks it lacks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from alerts.change import AlertChange, rfc3339
from events.batch import Keys, Kind
from replay.history import Block, RejectedLine, check, read
from replay.labels import Label, read_labels
from replay.score import WEEK_MS, score
from replay.summary import AlertCount, Period, RejectCount, Summary
from streams.pipeline import Pipeline
from streams.settings import DetectionSettings
from streams.ticks import NO_LINE, Ticked, Ticker

KINDS = tuple(kind.name.lower() for kind in Kind)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay is. ``bytes_total`` is 0 with standard input among the files; ``at_ms`` is the log's clock."""

    bytes_read: int
    bytes_total: int
    facts: int
    alerts: int
    at_ms: int | None


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where a replay writes and tells; each may be left out.

    ``alerts`` gets every change as one line, ``rejects`` every refused line or fact as one JSON object with ``file``,
    ``line``, ``reason``, ``detail``, ``raw``; ``told`` every change as it comes; ``progress`` is called per block.
    """

    alerts: BinaryIO | None = None
    rejects: BinaryIO | None = None
    told: Callable[[AlertChange], None] | None = None
    progress: Callable[[Progress], None] | None = None


def replay(
    paths: Sequence[str | Path],
    settings: DetectionSettings,
    *,
    labels: Path | None = None,
    outlets: Outlets | None = None,
) -> Summary:
    """Read ``paths`` one after another as one history (``-``: standard input) and sum up what came of it.

    Raises :class:`replay.history.HistoryError` and :class:`replay.labels.LabelError`; labels are read first.
    """
    incidents = None if labels is None else read_labels(labels)
    return _Run([str(path) for path in paths], settings, outlets or Outlets()).go(incidents)


class _Run:
    def __init__(self, paths: list[str], settings: DetectionSettings, outlets: Outlets) -> None:
        self.paths, self.outlets = paths, outlets
        self.pipeline, self.keys = Pipeline(settings), Keys()
        self.alerts, self.rejects = AlertCount(), RejectCount()
        self.kinds = np.zeros(len(Kind), np.int64)
        self.ticks_made = 0
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self.bytes_total = self.bytes_before = self.bytes_file = 0
        self.file = ""

    def go(self, incidents: list[Label] | None) -> Summary:
        self.bytes_total = check(self.paths)
        ticker: Ticker[Block] = Ticker()
        for batch, line_of, block in read(self.paths, self.keys, rejects=self._reject):
            self.kinds += np.bincount(batch.kind, minlength=len(Kind))
            for piece in ticker.push(batch, line_of, block):
                self._feed(piece)
            self._progress(block)
        for piece in ticker.finish():
            self._feed(piece)
        return self._summary(incidents)

    def _feed(self, piece: Ticked[Block]) -> None:
        batch = piece.batch
        ticks = batch.known_at_ms[batch.kind == Kind.TICK]
        if len(ticks):
            self.first_ms = int(ticks[0]) if self.first_ms is None else self.first_ms
            self.last_ms = max(int(ticks.max()), self.last_ms or 0)
        self.ticks_made += int((piece.line_of == NO_LINE).sum())
        outcome = self.pipeline.feed(batch)
        for refused in outcome.refused:
            self._refuse(piece, refused.row, refused.reason, refused.detail)
        self._tell(outcome.changes)

    def _tell(self, changes: list[AlertChange]) -> None:
        self.alerts.add(changes)
        for change in changes:
            if self.outlets.alerts is not None:
                self.outlets.alerts.write(change.to_line())
            if self.outlets.told is not None:
                self.outlets.told(change)

    def _refuse(self, piece: Ticked[Block], row: int, reason: str, detail: str) -> None:
        line, block = int(piece.line_of[row]), piece.tag
        if block is not None and line != NO_LINE:
            self._reject(RejectedLine(block.file, line, reason, detail, block.raw(line)))

    def _reject(self, one: RejectedLine) -> None:
        self.rejects.add(one)
        if self.outlets.rejects is not None:
            self.outlets.rejects.write(json.dumps(asdict(one), ensure_ascii=False).encode() + b"\n")

    def _progress(self, block: Block) -> None:
        if block.file != self.file:
            self.bytes_before, self.file = self.bytes_before + self.bytes_file, block.file
        self.bytes_file = block.bytes_read
        if self.outlets.progress is not None:
            done, total = self.bytes_before + self.bytes_file, 0 if "-" in self.paths else self.bytes_total
            facts = int(self.kinds.sum())
            self.outlets.progress(Progress(done, total, facts, len(self.alerts.lives), self.last_ms))

    def _summary(self, incidents: list[Label] | None) -> Summary:
        rows = self.keys.rows
        accounts = len({key.account for key in rows})
        period = None
        if self.first_ms is not None and self.last_ms is not None:
            period = Period(from_=rfc3339(self.first_ms), to=rfc3339(self.last_ms))
        weeks = accounts * ((self.last_ms or 0) - (self.first_ms or 0)) / WEEK_MS
        return Summary(
            files=self.paths,
            period=period,
            accounts=accounts,
            sources=sorted({key.source for key in rows if key.source is not None}),
            series=len({(key.account, key.source, key.campaign) for key in rows if key.campaign is not None}),
            facts={name: int(n) for name, n in zip(KINDS, self.kinds, strict=True) if n},
            became={word: n for word, n in self.pipeline.counts.items() if n and word != "other"},
            ticks_made=self.ticks_made,
            alerts=self.alerts.sum_up(self.last_ms or 0),
            rejects=dict(sorted(self.rejects.groups.items())),
            score=None if incidents is None else score(self.alerts.openings(), incidents, weeks),
        )
