"""A message in Slack's blocks. Names stand only where Slack reads no mark-up, or escaped."""

from __future__ import annotations

from typing import Any

from notifiers.message import Message, clean

BUDGET = 12_000
"""Characters of all blocks together; from about 13,200 on Slack refuses a message."""

HEADER_LIMIT, SECTION_LIMIT, FIELD_LIMIT, TEXT_LIMIT = 150, 2_000, 500, 3_000

Block = dict[str, Any]


def escape(text: str) -> str:
    """The door for text in mrkdwn: no link, no mention, no broadcast can be made of it.

    >>> escape("<!channel> A&B @here")
    '&lt;!channel&gt; A&amp;B @\u200bhere'
    """
    marked = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return marked.replace("@", "@\u200b")


def fallback(message: Message) -> str:
    """What a notification on a locked phone shows."""
    rest = message.sentence if message.costs is None else f"{message.sentence} Costs {message.costs}."
    return escape(clean(f"{message.headline}. {rest}", TEXT_LIMIT))


def headline(message: Message) -> list[Block]:
    """The line above the colour bar."""
    return [{"type": "header", "text": _plain(message.headline, HEADER_LIMIT)}]


def card(message: Message, file_id: str | None) -> list[dict[str, Any]]:
    """The attachment with the colour bar; ``file_id`` is an uploaded chart."""
    blocks = [
        {"type": "section", "text": _plain(message.sentence, SECTION_LIMIT)},
        {"type": "section", "fields": [_field(label, words) for label, words in message.facts[:10]]},
        *_said(message),
    ]
    if file_id is not None:
        words = clean(f"Chart: {message.title}", 500)
        blocks.append({"type": "image", "slack_file": {"id": file_id}, "alt_text": words})
    blocks += _foot(message)
    return [{"color": message.colour, "fallback": fallback(message), "blocks": blocks}]


def reply(message: Message) -> list[Block]:
    """One line for the thread."""
    words = f"{message.sign} {message.state}. {message.sentence}"
    costs = "" if message.costs is None else f" Costs {message.costs}."
    return [{"type": "section", "text": _plain(words + costs, SECTION_LIMIT)}]


def size(blocks: object) -> int:
    """Characters of all text in ``blocks``, as Slack's hidden limit counts them."""
    if isinstance(blocks, dict):
        return sum(size(value) for value in blocks.values())
    if isinstance(blocks, list):
        return sum(size(value) for value in blocks)
    return len(blocks) if isinstance(blocks, str) else 0


def _said(message: Message) -> list[Block]:
    parts = (("Possible cause", message.cause), ("Do", message.action))
    return [{"type": "section", "text": _plain(f"{label}: {words}", SECTION_LIMIT)} for label, words in parts if words]


def _foot(message: Message) -> list[Block]:
    blocks: list[Block] = []
    if message.link is not None:
        address = message.link.replace("&", "&amp;").replace("<", "%3C").replace(">", "%3E").replace("|", "%7C")
        words = f"<{address}|Open the alert>"
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": words, "verbatim": True}})
    if message.note is not None:
        blocks.append({"type": "context", "elements": [_plain(message.note, FIELD_LIMIT)]})
    return blocks


def _plain(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": clean(text, limit), "emoji": False}


def _field(label: str, words: str) -> Block:
    return {"type": "mrkdwn", "text": f"*{label}*\n{escape(clean(words, FIELD_LIMIT))}", "verbatim": True}
