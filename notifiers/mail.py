"""A message as an e-mail: text, HTML and the chart; the same headers at every try; one thread per alert.

Gmail threads only what has the same subject, so the subject has neither state nor figures.
"""

from __future__ import annotations

import logging
import unicodedata
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from hashlib import blake2b

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from alerts.change import Severity
from notifiers import chart
from notifiers.channel import Delivery
from notifiers.message import Message

LONGEST_HEADER = 180


def safe_header(text: str) -> str:
    r"""The one door for text in a header: no line of its own, no encoded word that unfolds into one, bounded.

    >>> safe_header("CPA\r\nBcc: x@y"), safe_header("=?utf-8?q?=0ABcc=3A_evil@x?=")
    ('CPA Bcc: x@y', '= ?utf-8?q?=0ABcc=3A_evil@x?=')
    """
    kept = "".join(" " if unicodedata.category(sign) in ("Cc", "Zl", "Zp", "Cs") else sign for sign in text)
    words = " ".join(kept.split())
    while "=?" in words:
        words = words.replace("=?", "= ?")
    return words[:LONGEST_HEADER].rstrip()


def mail(delivery: Delivery, sender: str, recipients: tuple[str, ...], with_chart: bool) -> EmailMessage:
    """The e-mail for ``delivery``."""
    domain = _domain(sender)
    message = delivery.message
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = safe_header(message.subject)
    mail["From"] = f"adwatch <{sender}>"
    mail["To"] = ", ".join(recipients)
    mail["Date"] = format_datetime(datetime.fromtimestamp(delivery.accepted_ms // 1000, UTC))
    mail["Message-ID"] = f"<{delivery.delivery_id}@{domain}>"
    root = f"<alert.{blake2b(message.alert_id.encode(), digest_size=12).hexdigest()}@{domain}>"
    mail["In-Reply-To"] = root
    mail["References"] = root
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["List-Id"] = f"adwatch alerts <adwatch.{domain}>"
    if message.severity is Severity.CRITICAL:
        mail["Importance"] = "high"
    picture = _picture(delivery) if with_chart else None
    cid = f"chart.{delivery.delivery_id}@{domain}"
    mail.set_content(text(message), cte="quoted-printable")
    mail.add_alternative(html(message, None if picture is None else cid), subtype="html", cte="quoted-printable")
    if picture is not None:
        page = mail.get_payload()[1]  # type: ignore[index]
        page.add_related(picture, "image", "png", cid=f"<{cid}>", disposition="inline", filename="chart.png")  # type: ignore[union-attr]
    for number, part in enumerate(part for part in mail.walk() if part.is_multipart()):
        part.set_boundary(f"=_{delivery.delivery_id}_{number}")
    return mail


def text(message: Message) -> str:
    """The message as plain text."""
    rows = [f"{message.status.upper()}: {message.title}", " / ".join(message.where), "", message.sentence, ""]
    rows += [f"{label}: {words}" for label, words in message.facts]
    rows += ["", f"→ {message.action}"] if message.action is not None else []
    rows += ["", message.link] if message.link is not None else []
    rows += ["", *message.notes] if message.notes else []
    return "\n".join(rows) + "\n"


def html(message: Message, cid: str | None) -> str:
    """The message as HTML; every text is escaped by the template engine."""
    badge = {"#2eb67d": "#1b7f56", "#e8830c": "#a85b00"}.get(message.colour, message.colour)
    return _template().render(m=message, cid=cid, badge=badge)


@cache
def _template() -> Template:
    loader = PackageLoader("notifiers")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("mail.html")


def _picture(delivery: Delivery) -> bytes | None:
    """The chart; whatever goes wrong with it, the mail goes out."""
    if not delivery.change.history:
        return None
    try:
        return chart.png(delivery.change, delivery.message.zone)
    except Exception:
        logging.getLogger(__name__).warning("a chart could not be drawn; its mail goes out without it")
        return None


def _domain(sender: str) -> str:
    try:
        return sender.rpartition("@")[2].encode("idna").decode("ascii")
    except UnicodeError:
        return "adwatch.invalid"
