"""Metrics: lint, bounded labels, and that dashboards and rules speak of what exists."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from events.codec import Decoder
from service.kafka_metrics import RoadMetrics
from service.metrics import MOST_REASONS, Metrics

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "dashboards"


def promtool(*arguments: str, stdin: bytes = b"") -> None:
    tool = shutil.which("promtool")
    if tool is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no promtool; `make test` names the line that installs it")
        pytest.skip("no promtool on this machine")
    done = subprocess.run([tool, *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def shown(metrics: Metrics) -> str:
    return metrics.exposition()[0].decode()


def names() -> set[str]:
    """Every metric that any of our processes shows, suffixes of histograms included."""
    metrics = RoadMetrics()
    metrics.watch_store(lambda: 0, lambda: 0, lambda: 0)
    found: set[str] = set()
    for family in metrics.registry.collect():
        found |= {family.name, *(sample.name for sample in family.samples)}
        found |= {f"{family.name}_total"} if family.type == "counter" else set()
        found |= (
            {f"{family.name}_{part}" for part in ("bucket", "sum", "count")} if family.type == "histogram" else set()
        )
    return found


@pytest.mark.parametrize("kind", [Metrics, RoadMetrics])
def test_promtool_finds_nothing_to_complain_about(kind: type[Metrics]) -> None:
    metrics = kind()
    decoded = Decoder().decode_block(b'{"fact":"tick","at":1767607200000}\nbad\n')
    metrics.taken(decoded.batch, decoded.rejects)
    promtool("check", "metrics", stdin=metrics.exposition()[0])


def test_facts_and_rejects_are_counted_by_kind_and_reason() -> None:
    metrics = Metrics()
    decoded = Decoder().decode_block(b'{"fact":"tick","at":1767607200000}\nbad\nworse\n')
    metrics.taken(decoded.batch, decoded.rejects)
    text = shown(metrics)
    assert 'adwatch_facts_total{kind="tick"} 1.0' in text
    assert 'adwatch_rejects_total{reason="broken_json"} 2.0' in text
    assert "adwatch_newest_tick_timestamp_seconds 1.7676072e+09" in text


def test_no_label_grows_without_bound() -> None:
    metrics = Metrics()
    for number in range(10 * MOST_REASONS):
        metrics.reject(f"reason-{number}")
    assert shown(metrics).count("adwatch_rejects_total{") <= MOST_REASONS + 1


def test_prometheus_accepts_its_settings_and_rules() -> None:
    promtool("check", "rules", str(DASHBOARDS / "rules.yml"))
    promtool("check", "config", "--syntax-only", str(DASHBOARDS / "prometheus.yml"))


def test_dashboards_and_rules_speak_only_of_metrics_that_exist() -> None:
    rules = yaml.safe_load((DASHBOARDS / "rules.yml").read_text())
    said = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    grafana = json.loads((DASHBOARDS / "grafana" / "adwatch.json").read_text())
    said += [target["expr"] for panel in grafana["panels"] for target in panel.get("targets", [])]
    used = {name for expression in said for name in re.findall(r"\badwatch_[a-z_]+", expression)}
    assert used
    assert used - names() == set()
