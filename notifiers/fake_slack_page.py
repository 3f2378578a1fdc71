"""What a person sees in the fake Slack: as values for tests, and as a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from notifiers.fake_slack_workspace import Channel, Workspace

Json = dict[str, Any]
_MARK = re.compile(r"<([^<>]*)>")
_BOLD = re.compile(r"\*([^*\n]+)\*")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


def seen(workspace: Workspace) -> Json:
    """The messages of every channel as a person would see them, threads below their first message."""
    return {channel.name: [_seen(channel, m) for m in _roots(channel)] for channel in workspace.channels.values()}


def page(workspace: Workspace) -> str:
    """The channels as a page; reloads itself."""
    return _template().render(
        channels=[(c, _roots(c)) for c in workspace.channels.values()], replies=_replies, mrkdwn=_html
    )


def _roots(channel: Channel) -> list[Json]:
    return [m for m in channel.messages if m.get("thread_ts", m["ts"]) == m["ts"]]


def _replies(channel: Channel, root: Json) -> list[Json]:
    return [m for m in channel.messages if m.get("thread_ts") == root["ts"] and m is not root]


def _seen(channel: Channel, message: Json) -> Json:
    marks = [mark for text in _marked(message) for mark in _MARK.findall(text)]
    attachments = message.get("attachments") or []
    return {
        "ts": message["ts"],
        "text": _read(message.get("text") or ""),
        "lines": [_read(words) for words in _words(message)],
        "colour": next((one.get("color") for one in attachments if one.get("color")), None),
        "images": [block["slack_file"]["id"] for block in _blocks(message) if "slack_file" in block],
        "mentions": [mark for mark in marks if mark.startswith(("!", "@", "#"))],
        "links": [mark for mark in marks if not mark.startswith(("!", "@", "#"))],
        "is_edited": "edited" in message,
        "is_broadcast": message.get("subtype") == "thread_broadcast",
        "metadata": message.get("metadata"),
        "thread": [_seen(channel, one) for one in _replies(channel, message)],
    }


def _blocks(message: Json) -> Iterator[Json]:
    yield from message.get("blocks") or []
    for one in message.get("attachments") or []:
        yield from one.get("blocks") or []


def _texts(message: Json) -> Iterator[Json]:
    for block in _blocks(message):
        if isinstance(block.get("text"), dict):
            yield block["text"]
        yield from block.get("fields") or []
        for element in block.get("elements") or []:
            yield element["text"] if isinstance(element.get("text"), dict) else element


def _words(message: Json) -> list[str]:
    return [str(text.get("text", "")) for text in _texts(message)]


def _marked(message: Json) -> list[str]:
    """What Slack reads as mark-up: the text, and texts of type mrkdwn."""
    return [message.get("text") or "", *(t["text"] for t in _texts(message) if t.get("type") == "mrkdwn")]


def _read(text: str) -> str:
    for entity, sign in _ENTITIES:
        text = text.replace(entity, sign)
    return text


def _html(text: Json) -> Markup:
    """A text object as Slack shows it."""
    words = str(text.get("text", ""))
    if text.get("type") != "mrkdwn":
        return escape(words)
    marked = _MARK.sub(lambda m: f"\x02{m[1]}\x03", words)
    shown = str(escape(_read(marked)))
    shown = re.sub("\x02([^\x02\x03]*)\x03", lambda m: f"<mark>{m[1].rpartition('|')[2]}</mark>", shown)
    return Markup(_BOLD.sub(r"<b>\1</b>", shown).replace("\n", "<br>"))


@cache
def _template() -> Template:
    loader = PackageLoader("notifiers")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("fake_slack.html")
