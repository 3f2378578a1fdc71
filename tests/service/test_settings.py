"""Settings: where they come from, and how what is wrong is said."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from service import settings
from service.errors import SettingsError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "adwatch.yml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(path: Path, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        settings.load(path, environ or {})
    return str(caught.value)


def test_without_a_file_every_key_has_a_default_that_works() -> None:
    found = settings.load(None, {})
    assert (found.http.host, found.http.port) == ("127.0.0.1", 8080)
    assert found.detection.false_alarms == "1 per month"


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "http: {port: 9000, host: 0.0.0.0}\n")
    found = settings.load(path, {"ADWATCH_HTTP__PORT": "9001", "HOME": "/nowhere"})
    assert (found.http.host, found.http.port) == ("0.0.0.0", 9001)


def test_the_store_stands_beside_the_settings_file_unless_named(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    assert settings.load(path, {}).store_url == f"sqlite:///{tmp_path}/adwatch.sqlite"
    assert settings.load(path, {"ADWATCH_STORE__URL": "sqlite:////x.db"}).store_url == "sqlite:////x.db"


def test_a_wrong_key_is_named_with_its_path_and_what_may_have_been_meant(tmp_path: Path) -> None:
    path = written(tmp_path, "detection:\n  false_alarm: 1 per week\n")
    expected = f"{path}: detection.false_alarm: unknown key; did you mean detection.false_alarms?"
    assert complaint(path) == expected


def test_every_finding_is_listed_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "http: {port: many, hots: x}\nnotes: 1\n")
    assert len(complaint(path).splitlines()) == 3


def test_a_wrong_variable_is_named_as_the_variable(tmp_path: Path) -> None:
    said = complaint(written(tmp_path, ""), {"ADWATCH_HTTP__PORT": "eighty"})
    assert said.startswith("ADWATCH_HTTP__PORT (http.port): input should be a valid integer")


def test_an_unknown_variable_is_an_error_too(tmp_path: Path) -> None:
    said = complaint(written(tmp_path, ""), {"ADWATCH_HTTP__PROT": "80"})
    assert said == "ADWATCH_HTTP__PROT (http.prot): unknown key; did you mean http.port?"


def test_a_secret_can_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")
    found = settings.load(written(tmp_path, f"http: {{ingest_token_file: {secret}}}\n"), {})
    assert found.http.ingest_token is not None
    assert found.http.ingest_token.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(found)


def test_a_secret_file_can_be_named_by_a_variable(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret")
    found = settings.load(written(tmp_path, ""), {"ADWATCH_HTTP__INGEST_TOKEN_FILE": str(secret)})
    assert found.http.ingest_token is not None


def test_a_secret_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "http: {ingest_token_file: /not/there}\n")
    assert complaint(path) == f"{path}: http.ingest_token_file: /not/there: No such file or directory"


def test_a_secret_and_its_file_together_are_refused_without_telling_it(tmp_path: Path) -> None:
    said = complaint(written(tmp_path, "http: {ingest_token: hushhush, ingest_token_file: /x}\n"))
    assert "give one of the two" in said
    assert "hushhush" not in said


def test_a_wrong_type_of_a_secret_does_not_print_it(tmp_path: Path) -> None:
    said = complaint(written(tmp_path, "http: {ingest_token: [hushhush]}\n"))
    assert "http.ingest_token" in said
    assert "hushhush" not in said


def test_broken_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "http:\n  port: [1\n")
    assert complaint(path).startswith(f"{path}, line 3: not YAML: ")


@pytest.mark.parametrize("text", ["- a\n", "just words\n", "7\n"])
def test_something_that_is_not_keys_and_values_is_refused(tmp_path: Path, text: str) -> None:
    assert "settings are keys and values" in complaint(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert complaint(tmp_path / "none.yml") == f"{tmp_path}/none.yml: cannot be read: No such file or directory"


def test_home_is_not_a_key(tmp_path: Path) -> None:
    assert "home: unknown key" in complaint(written(tmp_path, "home: /x\n"))


def test_the_schema_knows_every_key_and_no_other(tmp_path: Path) -> None:
    schema = settings.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    good = yaml.safe_load("http: {port: 1}\ndetection: {false_alarms: 1 per week}\n")
    jsonschema.validate(good, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"http": {"prot": 1}}, schema)
    assert "home" not in json.dumps(schema["properties"])
