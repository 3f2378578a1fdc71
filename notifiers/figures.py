"""Figures as people read them: money in the alert's currency, ratios, counts; never an exception."""

from __future__ import annotations

import math
from decimal import Decimal

from babel.core import Locale, UnknownLocaleError
from babel.numbers import format_currency, format_decimal

from alerts.change import AlertChange
from notifiers.names import plain

UNKNOWN = "unknown"
MICROS = 1_000_000
LARGEST = 1e15
"""From here on a figure is a defect somewhere; it is shown, but as what it is."""
MONEY = frozenset({"cpa", "value_per_conversion", "cpc", "cpm", "aov"})
RATIOS = frozenset({"roas"})


def known_locale(name: str) -> str:
    """``name`` if it is a locale; ``ValueError`` where it is none."""
    try:
        Locale.parse(name)
    except (UnknownLocaleError, ValueError, TypeError):
        raise ValueError(f"{name!r} is no locale; names are like en, de_DE") from None
    return name


def money(amount: float, currency: str, locale: str) -> str:
    """``amount`` of ``currency``; from a hundred on without the small change.

    >>> money(12.5, "EUR", "en"), money(1234.56, "EUR", "en"), money(1234.5, "JPY", "en")
    ('€12.50', '€1,235', '¥1,234')
    """
    whole = abs(amount) >= 100
    pattern = Locale.parse(locale).currency_formats["standard"].pattern if whole else None
    if pattern is not None:
        pattern = pattern.replace("0.00", "0")
    return str(
        format_currency(
            Decimal(repr(amount)), plain(currency, 8), format=pattern, locale=locale, currency_digits=not whole
        )
    )


def figure(change: AlertChange, value: float | None, locale: str) -> str:
    """``value`` in the unit of the alert's measure; a word where it is unknown."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if abs(value) >= LARGEST:
        return f"{value:.1e}"
    if change.measure in MONEY and change.currency:
        return money(value, change.currency, locale)
    return str(format_decimal(Decimal(repr(value)), format=_pattern(change.measure, value), locale=locale))


def _pattern(measure: str, value: float) -> str:
    if measure in RATIOS:
        return "#,##0.00"
    if abs(value) >= 100 or value == 0:
        return "#,##0"
    return "#,##0.##" if abs(value) >= 1 else "0.0###"


def about(value: float, locale: str) -> str:
    """A count to speak of: whole from ten on.

    >>> about(14.2, "en"), about(3.26, "en")
    ('14', '3.3')
    """
    if not abs(value) < LARGEST:
        return UNKNOWN
    return str(format_decimal(Decimal(repr(value)), format="#,##0" if abs(value) >= 10 else "0.#", locale=locale))


def expectation(change: AlertChange, locale: str) -> str:
    """What was expected, with its range where there is one."""
    expected = figure(change, change.expected, locale)
    if change.low is None or change.high is None:
        return expected
    return f"{expected} (usually {figure(change, change.low, locale)} to {figure(change, change.high, locale)})"


def cost_per_hour(change: AlertChange, locale: str) -> str | None:
    """What it costs while it goes on; ``None`` where nobody can say or nothing is lost."""
    if not change.money_at_risk_micros or not change.currency:
        return None
    amount = Decimal(change.money_at_risk_micros) / MICROS
    return None if abs(amount) >= LARGEST else f"{money(float(amount), change.currency, locale)} an hour"


def rounded(number: float) -> int:
    """``number`` to two leading digits.

    >>> rounded(125.9), rounded(9_999.0), rounded(12.2)
    (130, 10000, 12)
    """
    step = 10 ** max(0, int(math.log10(max(number, 1.0))) - 1)
    return int(round(number / step) * step)
