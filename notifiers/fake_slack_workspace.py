"""What the fake Slack remembers, and the documented limits that it enforces. No HTTP here.

Limits: one message a second into a channel with a small burst, then 429; 50 blocks; 3,000 characters in a section,
2,000 in a field, 150 in a header; about 13,200 in all blocks together; 40,000 in a text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
MOST_BLOCKS, MOST_SECTION, MOST_FIELD, MOST_FIELDS, MOST_HEADER, MOST_ELEMENTS = 50, 3_000, 2_000, 10, 150, 10
MOST_IN_ALL, MOST_TEXT, MOST_ATTACHMENTS = 13_200, 40_000, 100
BOT = {"user": "U0ADWATCH0", "bot_id": "B0ADWATCH0", "type": "message"}


class Refusal(Exception):
    """``ok: false`` with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class TooFast(Exception):
    """429; ``retry_after_s`` is in whole seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"{retry_after_s} s")
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Bucket:
    """So many at once, then so many a second."""

    per_s: float
    burst: float
    level: float
    at: float

    def take(self, now: float) -> None:
        """One more; raises :class:`TooFast` when there is none."""
        self.level = min(self.burst, self.level + max(0.0, now - self.at) * self.per_s)
        self.at = now
        if self.level < 1 - 1e-9:
            raise TooFast(max(1, math.ceil((1 - self.level) / self.per_s)))
        self.level -= 1


@dataclass(slots=True)
class Stored:
    """A file: bytes come before it is complete."""

    name: str
    content: bytes | None = None
    is_complete: bool = False


@dataclass(slots=True)
class Channel:
    """A channel with everything said in it, threads included, in order."""

    channel_id: str
    name: str
    messages: list[Json] = field(default_factory=list)


class Workspace:
    """Channels, messages, threads and files in memory."""

    def __init__(
        self,
        clock: Callable[[], float],
        channels: Sequence[str] = ("alerts", "general"),
        per_s: float = 1.0,
        burst: float = 3.0,
    ) -> None:
        """``per_s`` and ``burst``: messages into one channel; ``math.inf`` for no limit."""
        self._clock = clock
        self._per_s, self._burst = per_s, burst
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._last_ts = 0
        self.files: dict[str, Stored] = {}
        self.channels = {name: Channel(f"C{number:010d}", name) for number, name in enumerate(channels, 1)}

    def channel(self, wanted: object) -> Channel:
        """A channel by its id, its name or ``#name``."""
        name = str(wanted or "").removeprefix("#")
        for one in self.channels.values():
            if name in (one.name, one.channel_id):
                return one
        raise Refusal("channel_not_found")

    def post(self, asked: Mapping[str, Any]) -> Json:
        """``chat.postMessage``."""
        channel = self.channel(asked.get("channel"))
        self._limit("post", channel.channel_id, self._per_s, self._burst)
        self._check(asked)
        message: Json = {**BOT, "ts": self._ts(), **_content(asked)}
        if asked.get("metadata"):
            message["metadata"] = asked["metadata"]
        if asked.get("thread_ts"):
            root = self._message(channel, asked["thread_ts"], "thread_not_found")
            message["thread_ts"] = root.get("thread_ts", root["ts"])
            root["thread_ts"] = message["thread_ts"]
            if asked.get("reply_broadcast"):
                message["subtype"] = "thread_broadcast"
        channel.messages.append(message)
        return {"channel": channel.channel_id, "ts": message["ts"], "message": message}

    def update(self, asked: Mapping[str, Any]) -> Json:
        """``chat.update``; what is left out stays, metadata too."""
        channel = self.channel(asked.get("channel"))
        self._limit("update", "", 50 / 60, 50)
        message = self._message(channel, asked.get("ts"), "message_not_found")
        self._check(asked)
        message |= _content(asked) | {"edited": {"user": BOT["user"], "ts": self._ts()}}
        if asked.get("metadata"):
            message["metadata"] = asked["metadata"]
        return {"channel": channel.channel_id, "ts": message["ts"], "text": message.get("text", ""), "message": message}

    def history(self, asked: Mapping[str, Any]) -> Json:
        """``conversations.history``: the newest first, without what is only in threads; wants the channel's id."""
        channel = self._by_id(asked)
        self._limit("history", "", 50 / 60, 50)
        inside = [m for m in channel.messages if m.get("thread_ts", m["ts"]) == m["ts"] or "subtype" in m]
        return _page(list(reversed(inside)), asked)

    def replies(self, asked: Mapping[str, Any]) -> Json:
        """``conversations.replies``: the thread's first message, then the others in order."""
        channel = self._by_id(asked)
        self._limit("replies", "", 50 / 60, 50)
        root = self._message(channel, asked.get("ts"), "thread_not_found")
        return _page([m for m in channel.messages if m is root or m.get("thread_ts") == root["ts"]], asked)

    def listed(self) -> Json:
        """``conversations.list``."""
        return {"channels": [{"id": one.channel_id, "name": one.name} for one in self.channels.values()]}

    def new_file(self, asked: Mapping[str, Any]) -> str:
        """``files.getUploadURLExternal``: the id of a file that has no bytes yet."""
        if not asked.get("filename") or int(asked.get("length") or 0) <= 0:
            raise Refusal("invalid_arguments")
        file_id = f"F{len(self.files) + 1:010d}"
        self.files[file_id] = Stored(str(asked["filename"]))
        return file_id

    def complete(self, files: Sequence[Mapping[str, Any]]) -> Json:
        """``files.completeUploadExternal``."""
        for one in files:
            stored = self.files.get(str(one.get("id")))
            if stored is None or stored.content is None:
                raise Refusal("file_not_found")
            stored.is_complete = True
        return {"files": [{"id": one["id"], "title": one.get("title", "")} for one in files]}

    def _by_id(self, asked: Mapping[str, Any]) -> Channel:
        channel = self.channel(asked.get("channel"))
        if asked.get("channel") != channel.channel_id:
            raise Refusal("channel_not_found")
        return channel

    def _message(self, channel: Channel, ts: object, code: str) -> Json:
        found = next((m for m in channel.messages if m["ts"] == ts), None)
        if found is None:
            raise Refusal(code)
        return found

    def _limit(self, what: str, where: str, per_s: float, burst: float) -> None:
        if math.isinf(self._per_s):
            return
        now = self._clock()
        self._buckets.setdefault((what, where), Bucket(per_s, burst, burst, now)).take(now)

    def _ts(self) -> str:
        self._last_ts = max(self._last_ts + 1, int(self._clock() * 1e6))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def _check(self, asked: Mapping[str, Any]) -> None:
        """The limits of a message; raises :class:`Refusal`."""
        blocks, attachments = asked.get("blocks") or [], asked.get("attachments") or []
        text = asked.get("text") or ""
        if not (text or blocks or attachments):
            raise Refusal("no_text")
        if len(text) > MOST_TEXT:
            raise Refusal("msg_too_long")
        if len(attachments) > MOST_ATTACHMENTS:
            raise Refusal("too_many_attachments")
        inner = [one.get("blocks") or [] for one in attachments]
        for group in (blocks, *inner):
            if len(group) > MOST_BLOCKS or not all(self._is_sound(block) for block in group):
                raise Refusal("invalid_blocks" if group is blocks else "invalid_attachments")
        if _characters([blocks, inner]) > MOST_IN_ALL:
            raise Refusal("msg_blocks_too_long")

    def _is_sound(self, block: Mapping[str, Any]) -> bool:
        kind, text = block.get("type"), block.get("text") or {}
        if kind == "header":
            return text.get("type") == "plain_text" and 0 < len(text["text"]) <= MOST_HEADER
        if kind == "section":
            fields = block.get("fields") or []
            texts = [(text, MOST_SECTION)] if text else []
            texts += [(one, MOST_FIELD) for one in fields]
            return bool(texts) and len(fields) <= MOST_FIELDS and all(0 < len(t["text"]) <= most for t, most in texts)
        if kind == "image":
            stored = self.files.get((block.get("slack_file") or {}).get("id", ""))
            is_there = "image_url" in block or (stored is not None and stored.is_complete)
            return is_there and 0 < len(block.get("alt_text") or "") <= 2_000
        if kind == "context":
            return 0 < len(block.get("elements") or []) <= MOST_ELEMENTS
        return kind in ("divider", "actions", "rich_text", "markdown")


def _content(asked: Mapping[str, Any]) -> Json:
    return {key: asked[key] for key in ("text", "blocks", "attachments", "mrkdwn") if asked.get(key) is not None}


def _page(messages: list[Json], asked: Mapping[str, Any]) -> Json:
    oldest = float(asked.get("oldest") or 0)
    start, limit = int(asked.get("cursor") or 0), max(1, min(999, int(asked.get("limit") or 100)))
    wanted = [m for m in messages if float(m["ts"]) > oldest]
    with_metadata = str(asked.get("include_all_metadata", "")).lower() in ("1", "true")
    hidden = () if with_metadata else ("metadata",)
    page = [{key: value for key, value in m.items() if key not in hidden} for m in wanted[start : start + limit]]
    more = start + limit < len(wanted)
    cursor = str(start + limit) if more else ""
    return {"messages": page, "has_more": more, "response_metadata": {"next_cursor": cursor}}


def _characters(part: object) -> int:
    if isinstance(part, dict):
        return sum(_characters(value) for value in part.values())
    if isinstance(part, list):
        return sum(_characters(value) for value in part)
    return len(part) if isinstance(part, str) else 0
