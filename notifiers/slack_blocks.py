"""A message as Slack shows it. Names stand only where Slack reads no mark-up; what has mark-up is ours and escaped."""

from __future__ import annotations

from typing import Any

from notifiers.message import Message
from notifiers.names import plain

BUDGET = 12_000
"""Characters of all blocks together; from about 13,200 on Slack refuses a message."""

HEADER_LIMIT, SECTION_LIMIT, FIELD_LIMIT, TEXT_LIMIT, ALT_LIMIT = 150, 2_000, 500, 3_000, 500

Block = dict[str, Any]


def escape(text: str) -> str:
    """The door for text that Slack reads as mark-up: no link, no mention, no broadcast can be made of it.

    >>> escape("<!channel> A&B @here http://evil")
    '&lt;!channel&gt; A&amp;B @\u200bhere http:\u200b//evil'
    """
    marked = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return marked.replace("@", "@\u200b").replace("://", ":\u200b//")


def notification(message: Message) -> str:
    """What a locked phone shows."""
    cost = "" if message.cost is None else f" Costs {message.cost}."
    return escape(plain(f"{message.headline}. {message.sentence}{cost}", TEXT_LIMIT))


def header(message: Message) -> list[Block]:
    """The line above the colour bar."""
    return [{"type": "header", "text": _plain(message.headline, HEADER_LIMIT)}]


def card(message: Message, file_id: str | None = None) -> list[Block]:
    """The attachment with the colour bar; ``file_id`` is an uploaded chart."""
    figures = [fact for fact in message.facts if fact[1] is not message.cause]
    blocks: list[Block] = [
        _section(message.sentence),
        {"type": "section", "fields": [_field(label, words) for label, words in figures]},
    ]
    if message.cause is not None:
        blocks.append(_section(f"Possible cause: {message.cause}"))
    if message.action is not None:
        blocks.append(_section(f"→ {message.action}"))
    if file_id is not None:
        alt = plain(f"Observed against expected: {message.subject}", ALT_LIMIT)
        blocks.append({"type": "image", "slack_file": {"id": file_id}, "alt_text": alt})
    blocks += [{"type": "context", "elements": [_plain(note, FIELD_LIMIT)]} for note in message.notes]
    if message.link is not None:
        blocks.append(_button(message.link))
    return [{"color": message.colour, "fallback": notification(message), "blocks": blocks}]


def reply(message: Message) -> list[Block]:
    """The same state in the thread, in short."""
    cost = "" if message.cost is None else f" Costs {message.cost}."
    action = "" if message.action is None else f" {message.action}"
    words = f"{message.sign} {message.status}, {message.decided}. {message.sentence}{cost}{action}"
    notes = [{"type": "context", "elements": [_plain(note, FIELD_LIMIT)]} for note in message.notes]
    return [_section(words), *notes]


def size(part: object) -> int:
    """Characters of all texts in ``part``, as Slack's unwritten limit counts them."""
    if isinstance(part, dict):
        return sum(size(value) for value in part.values())
    if isinstance(part, list):
        return sum(size(value) for value in part)
    return len(part) if isinstance(part, str) else 0


def _section(words: str) -> Block:
    return {"type": "section", "text": _plain(words, SECTION_LIMIT)}


def _plain(words: str, limit: int) -> Block:
    return {"type": "plain_text", "text": plain(words, limit), "emoji": False}


def _field(label: str, words: str) -> Block:
    return {"type": "mrkdwn", "text": f"*{label}*\n{escape(plain(words, FIELD_LIMIT))}", "verbatim": True}


def _button(link: str) -> Block:
    open_it = {"type": "button", "text": _plain("Open the alert", 75), "url": link, "action_id": "open"}
    return {"type": "actions", "elements": [open_it]}
