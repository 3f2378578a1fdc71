"""Whose fault it is when Slack does not take a message. No error text holds a token or a webhook's address."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

from notifiers.channel import Ambiguous, NotSaid, Refused, Unreachable

GONE = frozenset(
    {
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
        "thread_not_found",
        "cannot_reply_to_message",
        "is_inactive",
    }
)
"""The message that stood for the alert cannot be changed any more: say it anew."""

PICTURE = frozenset({"invalid_blocks", "invalid_attachments"})
"""What Slack says, too, of a picture that it has not looked through yet."""

_UNSURE = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org", "accesslimited"}
)
_LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_NOT_THERE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.ENETDOWN, errno.EHOSTDOWN})
_LONGEST_WAIT_S = 3600.0

Failure = (URLError, HTTPException, OSError, ValueError)
"""What the SDK lets through from below when there is no whole answer."""


class Said(Refused):
    """Slack's own refusal; ``code`` is its word."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Slack refuses: {code}")
        self.code = code


def answered(status: int, error: object, headers: Mapping[str, Any]) -> NotSaid:
    """The error for an answer: HTTP status, Slack's error word (anything else: no answer of Slack's own)."""
    code = error if isinstance(error, str) and error.replace("_", "").isalnum() and len(error) < 80 else None
    if status == 429 or code in _LIMITED:
        wait_s = _retry_after(headers)
        return Unreachable("Slack limits the rate" + (f", for {wait_s:g} s" if wait_s else ""), wait_s)
    if status >= 500 or code in _UNSURE:
        return Ambiguous(f"Slack has an error of its own: {code or f'HTTP {status}'}")
    if code is not None:
        return Said(code)
    if status >= 400:
        return Unreachable(f"not Slack's answer: HTTP {status}")
    return Ambiguous(f"not Slack's answer: HTTP {status} without JSON")


def unanswered(error: Exception) -> NotSaid:
    """The error for a call without a whole answer."""
    reason = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    kind = type(reason).__name__
    if isinstance(error, URLError) and _never_sent(reason):
        return Unreachable(f"Slack cannot be reached: {kind}")
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
        return Refused("slack.base_url: not an address that can be called")
    return Ambiguous(f"no answer of Slack's: {kind}")


def _never_sent(reason: Exception | str) -> bool:
    if isinstance(reason, (ConnectionRefusedError, socket.gaierror, ssl.SSLError)):
        return True
    return isinstance(reason, OSError) and reason.errno in _NOT_THERE


def _retry_after(headers: Mapping[str, Any]) -> float | None:
    found = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    text = str(found[0] if isinstance(found, list) and found else found)
    try:
        seconds = float(text)
    except ValueError:
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT_S) if seconds == seconds else None
