"""Every error type that the exit status is decided by is really there, under its name."""

from __future__ import annotations

import importlib

import pytest

from service import blame


@pytest.mark.parametrize(("module", "name"), [*blame._CALLERS, *blame._OURS])
def test_every_named_error_is_a_type_that_exists(module: str, name: str) -> None:
    assert issubclass(getattr(importlib.import_module(module), name), Exception)


def test_a_defect_of_ours_is_not_dressed_up() -> None:
    assert blame.verdict(KeyError("x")) is None


def test_what_the_system_refuses_is_said_with_its_file() -> None:
    assert blame.verdict(FileNotFoundError(2, "No such file or directory", "a.txt")) == (
        blame.RUN_FAILED,
        "a.txt: No such file or directory",
    )
