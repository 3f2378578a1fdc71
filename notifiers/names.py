"""Names that others chose, made fit to be shown: one line, no control signs, no direction tricks, bounded.

This is the first door; each output has a second one of its own (Slack's, the e-mail header's, the HTML template's,
the terminal's).
"""

from __future__ import annotations

import unicodedata

MOST = 120
_JOINERS = "\u200c\u200d"
"""Part of ordinary words in some scripts, and of emoji; every other format sign goes."""
ISOLATE, POP = "\u2068", "\u2069"


def plain(name: str, most: int = MOST) -> str:
    """``name`` as one line of at most ``most`` characters; text written from right to left is isolated.

    >>> plain("Brand\\r\\nBcc: x@y\\x00"), plain("  "), plain("ab" * 100, 5)
    ('Brand Bcc: x@y', '(no name)', 'abab…')
    >>> plain("evil\\u202egpj.exe")
    'evilgpj.exe'
    >>> len(plain("\\u05e9" * 200, 150))
    150
    """
    shown = " ".join("".join(map(_sign, name[: 4 * most])).split())
    is_mixed = any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in shown)
    room = most - 2 if is_mixed else most
    if len(shown) > room:
        shown = shown[: room - 1].rstrip() + "…"
    if is_mixed:
        return f"{ISOLATE}{shown}{POP}"
    return shown or "(no name)"


def _sign(sign: str) -> str:
    category = unicodedata.category(sign)
    if category in ("Cc", "Zl", "Zp", "Zs"):
        return " "
    if category in ("Cs", "Co", "Cn") or (category == "Cf" and sign not in _JOINERS):
        return ""
    return sign
