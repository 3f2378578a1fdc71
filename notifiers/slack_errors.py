"""Whose fault it is when Slack does not take a message. No error text holds a token or a webhook's address."""

from __future__ import annotations

import errno
import math
import re
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

from notifiers.errors import Ambiguous, Fault, Refused, Unreachable

GONE = frozenset(
    {
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
        "thread_not_found",
        "cannot_reply_to_message",
    }
)
"""The message that stands for the alert cannot be changed any more: say it anew."""

PICTURE = frozenset({"invalid_blocks", "invalid_attachments"})
"""What Slack says, too, of a picture that it has not looked through yet."""

BLIND = frozenset(
    {"missing_scope", "not_allowed_token_type", "not_in_channel", "method_not_supported_for_channel_type"}
)
"""The history cannot be read, although messages can be posted."""

_UNSURE = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"})
_LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_AUTH = frozenset(
    {
        "not_authed",
        "invalid_auth",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "missing_scope",
        "no_permission",
    }
)
_NEVER_SENT = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.ENETDOWN, errno.EHOSTDOWN})
_CODE = re.compile(r"[a-z0-9_]{1,80}", re.ASCII)
# a webhook answers in words, the Web API with a code
_LONGEST_WAIT_S = 3600.0

Failure = (HTTPException, OSError, ValueError)
"""What the SDK lets through from below when there is no whole answer (URLError is an OSError)."""


_HINTS = {
    "channel_not_found": "no such channel, or a private one without the bot; check slack.channel",
    "not_in_channel": "invite the bot into the channel",
    "is_archived": "the channel is archived; set another slack.channel",
    "invalid_auth": "check slack.token",
    "not_authed": "slack.token is missing",
    "account_inactive": "the bot was removed; make a new slack.token",
    "token_revoked": "make a new slack.token",
    "token_expired": "make a new slack.token",
    "missing_scope": "the app lacks the scope chat:write",
    "no_service": "the webhook is gone; make a new slack.webhook_url",
    "no_active_hooks": "the webhook is off; make a new slack.webhook_url",
    "invalid_token": "make a new slack.webhook_url",
}


class Said(Refused):
    """Slack's own refusal; ``code`` is its word, ``receiver`` whom it was for."""

    def __init__(self, code: str, receiver: str = "") -> None:
        hint = f" ({_HINTS[code]})" if code in _HINTS else ""
        words = f"Slack refuses{receiver and ' '}{receiver}: {code}{hint}"
        super().__init__(words, "auth" if code in _AUTH else "client")
        self.code = code


def answered(status: int, error: object, headers: Mapping[str, Any], receiver: str = "") -> Fault:
    """The fault in an answer: HTTP status and Slack's word for the error (anything else is no answer of Slack's).

    >>> answered(429, None, {"Retry-After": "30"}).retry_after_s
    30.0
    >>> answered(200, "no_text", {}, "channel alerts"), answered(503, "<html>", {})
    (Said('Slack refuses channel alerts: no_text'), Ambiguous('Slack has an error of its own: HTTP 503'))
    """
    code = error if isinstance(error, str) and _CODE.fullmatch(error) else None
    if status == 429 or code in _LIMITED:
        wait_s = retry_after_s(headers)
        return Unreachable(
            f"Slack limits the rate{'' if wait_s is None else f', for {wait_s:g} s'}", "rate_limited", wait_s
        )
    if status >= 500 or code in _UNSURE:
        return Ambiguous(f"Slack has an error of its own: {code or f'HTTP {status}'}", "server")
    if code is not None:
        return Said(code, receiver)
    if status >= 400:
        return Unreachable(f"not Slack's answer: HTTP {status}", "other")
    return Ambiguous(f"not Slack's answer: HTTP {status} without JSON", "other")


def unanswered(error: Exception) -> Fault:
    """The fault of a call without a whole answer: surely not sent, or perhaps taken."""
    reason = error.reason if isinstance(error, URLError) else error
    kind = type(reason).__name__
    if isinstance(error, URLError) and _was_never_sent(reason):
        return Unreachable(f"Slack cannot be reached: {kind}", "network")
    is_timeout = isinstance(reason, TimeoutError)
    return Ambiguous(f"no answer of Slack's: {kind}", "timeout" if is_timeout else "network")


def retry_after_s(headers: Mapping[str, Any]) -> float | None:
    """The wait that a ``Retry-After`` header asks for, in seconds, at most an hour; ``None`` where it asks none.

    >>> retry_after_s({"retry-after": "7"}), retry_after_s({"Retry-After": "soon"}), retry_after_s({})
    (7.0, None, None)
    """
    found = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    try:
        seconds = float(str(found[0] if isinstance(found, list) and found else found))
    except ValueError:
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT_S) if math.isfinite(seconds) else None


def _was_never_sent(reason: object) -> bool:
    if isinstance(reason, (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError)):
        return True
    return isinstance(reason, OSError) and reason.errno in _NEVER_SENT
