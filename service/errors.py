"""The errors of the process, and whose fault each is.

``ServiceError``            the run failed (exit 1)
``├─ StoreError``           the store cannot be used: locked, unwritable, disk full
``└─ PortError``            the address cannot be bound
``CallerError``             what the caller gave is wrong (exit 2)
``└─ SettingsError``        a settings file or an ``ADWATCH_`` variable; names the file and the path of the key
"""

from __future__ import annotations


class ServiceError(Exception):
    """The run failed through no fault of its input; exit status 1."""


class StoreError(ServiceError):
    """The store cannot be used: another process holds it, it cannot be written, or the disk is full."""


class PortError(ServiceError):
    """The address the web server should listen on cannot be had."""


class CallerError(Exception):
    """The caller's input is wrong (file, line and key are named); exit status 2."""


class SettingsError(CallerError):
    """Settings that cannot be used. The message has one line per finding and never a secret's value."""
