"""E-mail through a real SMTP server with TLS and a login: threads, refusals, and what was perhaps said."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from alerts.change import AlertChange
from notifiers.channel import Delivery
from notifiers.email import EmailChannel, SmtpSettings
from notifiers.errors import Ambiguous, Refused, Unreachable
from notifiers.ledger import delivery_id
from notifiers.message import MessageSettings, compose

Make = Callable[..., AlertChange]
GOES_AWAY = "goes away"
PNG = b"\x89PNG\r\n\x1a\n"


def deliver(change: AlertChange) -> Delivery:
    return Delivery(
        delivery_id(change.alert_id, "email", change.version),
        compose(change, MessageSettings()),
        change,
        accepted_ms=1_767_340_800_000,
    )


def channel(box: Any, **settings: Any) -> EmailChannel:
    return EmailChannel(SmtpSettings.model_validate(box.settings(**settings)))


def read(box: Any) -> list[EmailMessage]:
    found: list[Any] = [email.message_from_bytes(one, policy=email.policy.default) for one in box.mails]
    return found


def test_a_mail_has_text_html_and_the_chart_inside(new_postbox: Any, change: Make) -> None:
    box = new_postbox()
    channel(box, chart=True).send(deliver(change()))
    (mail,) = read(box)
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]
    picture = next(part for part in mail.walk() if part.get_content_type() == "image/png")
    assert picture.get_payload(decode=True).startswith(PNG)  # type: ignore[union-attr]
    page = mail.get_body(("html",))
    assert page is not None
    assert f"cid:{picture['Content-ID'].strip('<>')}" in page.get_content()
    assert picture.get_content_disposition() == "inline"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert mail["List-Id"] == "adwatch alerts <adwatch.example.com>"
    assert mail["To"] == "a@example.com, b@example.com"
    assert mail["Date"] == "Fri, 02 Jan 2026 08:00:00 +0000"
    assert box.was_encrypted == [True]


def test_all_mails_of_an_alert_are_one_thread_also_after_a_restart(new_postbox: Any, change: Make) -> None:
    box = new_postbox()
    channel(box).send(deliver(change(1)))
    channel(box).send(deliver(change(2, severity="critical")))
    channel(box).send(deliver(change(3, change="resolved")))
    channel(box).send(deliver(change(alert_id="another")))
    *same, other = read(box)
    assert len({one["Subject"] for one in same}) == 1
    assert len({one["In-Reply-To"] for one in same}) == 1
    assert [one["References"] for one in same] == [one["In-Reply-To"] for one in same]
    assert len({one["Message-ID"] for one in same}) == 3
    assert other["In-Reply-To"] != same[0]["In-Reply-To"]
    assert [one["Importance"] for one in same] == [None, "high", None]


def test_a_repeat_has_the_same_message_id(new_postbox: Any, change: Make) -> None:
    box = new_postbox()
    box.answers.append(GOES_AWAY)
    with pytest.raises(Ambiguous, match=r"mail server 127\.0\.0\.1: no answer after the message"):
        channel(box).send(deliver(change()))
    channel(box).send(deliver(change()))
    first, second = box.mails
    assert first == second


def test_what_the_server_puts_off_is_unreachable_for_now(new_postbox: Any, change: Make) -> None:
    box = new_postbox()
    box.answers.append("451 4.3.0 try later")
    with pytest.raises(Unreachable, match=r"451 4\.3\.0 try later") as raised:
        channel(box).send(deliver(change()))
    assert raised.value.reason == "server"
    assert box.mails == []


def test_what_the_server_never_takes_is_refused(new_postbox: Any, change: Make) -> None:
    box = new_postbox()
    box.answers.append("552 5.3.4 too big")
    with pytest.raises(Refused, match=r"refuses: 552 5\.3\.4 too big"):
        channel(box).send(deliver(change()))


def test_one_wrong_address_does_not_keep_the_others_from_hearing(new_postbox: Any, change: Make) -> None:
    box = new_postbox()
    box.recipients["b@example.com"] = "550 5.1.1 nobody here"
    assert channel(box).send(deliver(change())).note == "refused for b@example.com"
    assert box.reached == [["a@example.com"]]
    box.recipients["a@example.com"] = "550 5.1.1 nobody here"
    with pytest.raises(Refused, match=r"refuses every recipient: a@example\.com, b@example\.com"):
        channel(box).send(deliver(change()))


def test_who_is_put_off_gets_it_later_and_who_has_it_not_again(new_postbox: Any, change: Make) -> None:
    box = new_postbox()
    box.recipients["b@example.com"] = "450 4.2.0 greylisted"
    mailer = channel(box)
    with pytest.raises(Unreachable, match=r"not now for b@example\.com \(450\)"):
        mailer.send(deliver(change()))
    box.answers.append("451 4.3.0 full")
    del box.recipients["b@example.com"]
    with pytest.raises(Unreachable, match="451"):
        mailer.send(deliver(change()))
    mailer.send(deliver(change()))
    assert box.reached == [["a@example.com"], ["b@example.com"]]


def test_what_came_to_nothing_leaves_nothing_behind(new_postbox: Any, change: Make) -> None:
    box = new_postbox()
    mailer = channel(box)
    for number in range(3):
        box.answers.append("554 5.7.1 no")
        with pytest.raises(Refused):
            mailer.send(deliver(change(alert_id=f"a{number}")))
    assert mailer._done == {}


def test_a_wrong_password_is_a_fault_of_the_settings_and_named(new_postbox: Any, change: Make) -> None:
    box = new_postbox()
    with pytest.raises(Refused, match=r"refuses the login: 535 .*\(check smtp.user and smtp.password\)") as raised:
        channel(box, password="planted-secret-5").send(deliver(change()))
    assert raised.value.reason == "auth"
    assert "planted-secret" not in str(raised.value)


def test_without_encryption_nothing_is_said_when_it_is_asked_for(new_postbox: Any, change: Make) -> None:
    box = new_postbox(encrypts=False)
    with pytest.raises(Unreachable, match="STARTTLS") as raised:
        channel(box).send(deliver(change()))
    assert raised.value.reason == "tls"
    assert box.mails == []


def test_without_encryption_it_is_said_where_the_settings_allow(new_postbox: Any, change: Make) -> None:
    box = new_postbox(encrypts=False)
    channel(box, starttls=False, user=None, password=None).send(deliver(change()))
    assert len(box.mails) == 1


def test_a_certificate_of_another_server_is_not_trusted(new_postbox: Any, change: Make) -> None:
    box = new_postbox(name="elsewhere.example.org")
    with pytest.raises(Unreachable, match="TLS: CERTIFICATE_VERIFY_FAILED") as raised:
        channel(box).send(deliver(change()))
    assert raised.value.reason == "tls"
    assert box.mails == []


def test_a_server_that_is_not_there_is_unreachable(new_postbox: Any, change: Make) -> None:
    box = new_postbox()
    with pytest.raises(Unreachable, match=r"mail server 127\.0\.0\.1 cannot be reached: ConnectionRefusedError"):
        channel(box, port=1).send(deliver(change()))


def test_certificates_that_are_not_there_are_named(new_postbox: Any, change: Make, tmp_path: Path) -> None:
    box = new_postbox()
    with pytest.raises(Unreachable, match="FileNotFoundError"):
        channel(box, ca_file=tmp_path / "none.pem").send(deliver(change()))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"host": "h"}, "host is given, so from and to are needed as well"),
        ({"user": "u"}, "user is given, so password is needed as well"),
        ({"from": "a@b\r\nBcc: x@y"}, "is no e-mail address"),
        ({"to": "a@b.example, nobody"}, "'nobody' is no e-mail address"),
        ({"to": ["<a@b.example>"]}, "is no e-mail address"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"recipients": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_cannot_work_are_said(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SmtpSettings.model_validate(settings)
