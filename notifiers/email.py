"""E-mail by SMTP: at least once, with a Message-ID that stays the same so that mailboxes can drop a repeat.

With ``starttls`` nothing is ever sent in clear text: where the server offers no TLS or shows a wrong certificate,
the message waits.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from notifiers.channel import Delivery, Receipt
from notifiers.errors import Ambiguous, Fault, Refused, Unreachable
from notifiers.mail import mail
from notifiers.names import plain

_ADDRESS = re.compile(r"[^\s@<>,;:\"\\\x00-\x1f]+@[^\s@<>,;:\"\\\x00-\x1f]+")
_REMEMBERED = 500


class SmtpSettings(BaseModel):
    """Where e-mail goes, and by which server."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    host: str | None = Field(default=None, description="The mail server; none: no e-mail.")
    port: int = Field(default=587, ge=1, le=65535)
    starttls: bool = Field(default=True, description="Encrypt before anything is said; refuse to send without.")
    tls: bool = Field(default=False, description="TLS from the first byte (port 465) in place of STARTTLS.")
    ca_file: Path | None = Field(default=None, description="Certificates to trust instead of the system's.")
    user: str | None = Field(default=None, description="Name to log in with.")
    password: SecretStr | None = Field(default=None, description="Password to log in with.")
    from_: str | None = Field(default=None, alias="from", description="Address the alerts come from.")
    to: tuple[str, ...] = Field(default=(), description="Addresses the alerts go to; a list, or divided by commas.")
    chart: bool = Field(default=True, description="Whether the chart is in the e-mail.")
    timeout_s: int = Field(default=20, ge=1, le=60, description="Seconds to wait for the server.")

    @field_validator("to", mode="before")
    @classmethod
    def _divided(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("to")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            _checked(one)
        return value

    @field_validator("from_")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return None if value is None else _checked(value)

    @model_validator(mode="after")
    def _whole(self) -> SmtpSettings:
        if self.host is not None and (self.from_ is None or not self.to):
            raise ValueError("host is given, so from and to are needed as well")
        if self.user is not None and self.password is None:
            raise ValueError("user is given, so password is needed as well")
        return self


class EmailChannel:
    """Sends deliveries to all recipients of the settings."""

    name = "email"
    pace_s = 0.1
    promise = "at least once, a repeat having the same Message-ID"

    def __init__(self, settings: SmtpSettings) -> None:
        """``settings`` has host, from and to."""
        assert settings.host is not None
        assert settings.from_ is not None
        self._settings = settings
        self._host = settings.host
        self._from = settings.from_
        self._named = f"mail server {plain(settings.host, 80)}"
        self._done: OrderedDict[str, set[str]] = OrderedDict()

    def send(self, delivery: Delivery) -> Receipt:
        """Send to whoever has not got it yet; an address that the server refuses for good is named in the receipt."""
        s = self._settings
        whole = mail(delivery, self._from, s.to, s.chart)
        done = self._done.pop(delivery.delivery_id, set())
        try:
            with self._session() as session:
                refused = self._hand_over(session, whole.as_bytes(), done)
        except Fault:
            self._remember(delivery.delivery_id, done)
            raise
        later = [one for one, code in refused.items() if code < 500]
        if later:
            self._remember(delivery.delivery_id, done)
            raise Unreachable(f"{self._named}: not now for {', '.join(later)} ({refused[later[0]]})", "server")
        if refused and not done:
            raise Refused(f"{self._named} refuses every recipient: {', '.join(refused)}", "client")
        return Receipt(note=f"refused for {', '.join(refused)}" if refused else "")

    def find(self, delivery: Delivery) -> Receipt | None:
        """Nobody can look into the recipients' mailboxes; a repeat has the same Message-ID."""
        return None

    def close(self) -> None:
        """Every message has its own connection: nothing to let go of."""

    def _hand_over(self, session: smtplib.SMTP, whole: bytes, done: set[str]) -> dict[str, int]:
        """One transaction; the recipients that were refused, with the server's code."""
        refused: dict[str, int] = {}
        self._expect(session.mail(self._from))
        todo = [one for one in self._settings.to if one not in done]
        for one in todo:
            code, _ = session.rcpt(one)
            if code not in (250, 251):
                refused[one] = code
        taken = [one for one in todo if one not in refused]
        if taken:
            try:
                answer = session.data(whole)
            except (OSError, smtplib.SMTPServerDisconnected) as error:
                raise Ambiguous(
                    f"{self._named}: no answer after the message: {type(error).__name__}", "timeout"
                ) from None
            self._expect(answer)
            done.update(taken)
        return refused

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        """A session that is encrypted and logged in; raises faults only."""
        session: smtplib.SMTP | None = None
        try:
            session = self._connected()
            yield session
        except Fault:
            raise
        except smtplib.SMTPResponseException as error:
            raise self._fault(error.smtp_code, error.smtp_error) from None
        except ssl.SSLError as error:
            raise Unreachable(f"{self._named}: TLS: {error.reason or type(error).__name__}", "tls") from None
        except smtplib.SMTPNotSupportedError as error:
            raise Unreachable(f"{self._named}: {error}", "tls") from None
        except (OSError, smtplib.SMTPException) as error:
            raise Unreachable(f"{self._named} cannot be reached: {type(error).__name__}", "network") from None
        finally:
            if session is not None:
                with suppress(OSError, smtplib.SMTPException):
                    session.quit()

    def _connected(self) -> smtplib.SMTP:
        s = self._settings
        context = ssl.create_default_context(cafile=None if s.ca_file is None else str(s.ca_file))
        session: smtplib.SMTP
        if s.tls:
            session = smtplib.SMTP_SSL(self._host, s.port, timeout=s.timeout_s, context=context)
        else:
            session = smtplib.SMTP(self._host, s.port, timeout=s.timeout_s)
        try:
            session.ehlo_or_helo_if_needed()
            if s.starttls and not s.tls:
                session.starttls(context=context)
                session.ehlo()
            if s.user is not None and s.password is not None:
                session.login(s.user, s.password.get_secret_value())
        except BaseException:
            session.close()
            raise
        return session

    def _expect(self, answer: tuple[int, bytes]) -> None:
        if answer[0] != 250:
            raise self._fault(*answer)

    def _fault(self, code: int, words: bytes | str) -> Fault:
        said = plain(words.decode("utf-8", "replace") if isinstance(words, bytes) else words, 160)
        for secret in (self._settings.password, self._settings.user):
            hidden = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
            said = said.replace(hidden, "***") if hidden else said
        if 500 <= code < 600:
            if code in (530, 534, 535, 538):
                words = f"{self._named} refuses the login: {code} {said} (check smtp.user and smtp.password)"
                return Refused(words, "auth")
            return Refused(f"{self._named} refuses: {code} {said}", "client")
        return Unreachable(f"{self._named}: {code} {said}", "server")

    def _remember(self, delivery_id: str, done: set[str]) -> None:
        """Who has got it, until it is tried again; the oldest are forgotten, which may repeat a message."""
        if done:
            self._done[delivery_id] = done
        while len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)


def _checked(address: str) -> str:
    if not _ADDRESS.fullmatch(address) or not address.isascii():
        raise ValueError(f"{plain(address)!r} is no e-mail address such as name@example.com")
    return address
