"""A message as Slack shows it. Names stand only where Slack reads no mark-up; what has mark-up is ours and escaped."""

from __future__ import annotations

from typing import Any

from notifiers.message import Message
from notifiers.names import plain

HEADER_LIMIT, SECTION_LIMIT, FIELD_LIMIT, TEXT_LIMIT, ALT_LIMIT = 150, 2_000, 500, 3_000, 500

Block = dict[str, Any]


def escape(text: str) -> str:
    """The door for text that Slack reads as mark-up: no link, no mention, no broadcast can be made of it.

    >>> escape("<!channel> A&B @here http://evil")
    '&lt;!channel&gt; A&amp;B @\u200bhere http:\u200b//evil'
    """
    marked = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return marked.replace("@", "@\u200b").replace("://", ":\u200b//")


def escaped(text: str, limit: int) -> str:
    """``text`` as one line behind :func:`escape`, cut so that it is at most ``limit`` characters when escaped.

    >>> escaped("a & b", 100), escaped("&" * 9, 11)
    ('a &amp; b', '&amp;&amp;…')
    """
    words = plain(text, limit)
    if len(escape(words)) <= limit:
        return escape(words)
    kept, room = "", limit - 1
    for sign in words:
        room -= len(escape(sign))
        if room < 0:
            break
        kept += sign
    return escape(kept.rstrip()) + "…"


def notification(message: Message) -> str:
    """What a locked phone shows."""
    cost = "" if message.cost is None else f" Costs {message.cost}."
    return escaped(f"{message.headline}. {message.sentence}{cost}", TEXT_LIMIT)


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


def _section(words: str) -> Block:
    return {"type": "section", "text": _plain(words, SECTION_LIMIT)}


def _plain(words: str, limit: int) -> Block:
    return {"type": "plain_text", "text": plain(words, limit), "emoji": False}


def _field(label: str, words: str) -> Block:
    return {"type": "mrkdwn", "text": f"*{label}*\n{escaped(words, FIELD_LIMIT)}", "verbatim": True}


def _button(link: str) -> Block:
    open_it = {"type": "button", "text": _plain("Open the alert", 75), "url": link, "action_id": "open"}
    return {"type": "actions", "elements": [open_it]}
