"""Commands to operate the service: settings and alerts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.errors import CallerError
from service.options import AsJson, Config, loaded

alerts = typer.Typer(no_args_is_help=True, help="What has been decided, from the store.")


def register(app: typer.Typer) -> None:
    """Add the commands of this file to ``app``."""
    app.command("check-config")(check_config)
    app.command("config-schema")(config_schema)
    app.command("fake-slack")(fake_slack)
    app.add_typer(alerts, name="alerts")


def check_config(config: Annotated[Path, typer.Argument(metavar="F", help="Settings file (YAML).")]) -> None:
    """Say what is wrong with a settings file, with the path of the key; exit 2 then."""
    from service import settings

    settings.load(config)
    print(f"{config}: in order", file=sys.stderr)


def config_schema() -> None:
    """Print the JSON Schema of the settings, for editors and checkers."""
    from service import settings

    print(json.dumps(settings.schema(), indent=2))


@alerts.command("list")
def alerts_list(
    config: Config = None,
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 200,
    as_json: AsJson = False,
) -> None:
    """The alerts, dearest first: one a line, or with --json the newest change of each in one object."""
    from alerts.change import Turn
    from service.web import views
    from service.wiring import open_desk

    settings = loaded(config)
    with open_desk(settings) as desk:
        found = views.listed(desk.latest(limit))
    shown = [change for change in found if everything or change.change is not Turn.RESOLVED]
    if as_json:
        print(json.dumps({"alerts": [change.model_dump(by_alias=True, mode="json") for change in shown]}))
        return
    for change in shown:
        print(f"{change.alert_id}  {views.line(change, settings.message)}")


@alerts.command("show")
def alerts_show(alert_id: Annotated[str, typer.Argument(metavar="ALERT_ID")], config: Config = None) -> None:
    """One alert as one JSON object: its changes in order, and who was told."""
    import dataclasses

    from service.wiring import open_desk

    with open_desk(loaded(config)) as desk:
        changes = desk.changes(alert_id)
        told = desk.told(alert_id)
    if not changes:
        raise CallerError(f"{alert_id}: there is no such alert in the store")
    said = [change.model_dump(by_alias=True, mode="json") for change in changes]
    print(json.dumps({"alert_id": alert_id, "changes": said, "told": [dataclasses.asdict(one) for one in told]}))


def fake_slack(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8090,
) -> None:
    """A Slack to try things on: keeps state, enforces the documented limits, fails when told to."""
    from socket import create_server

    from notifiers.fake_slack import serve
    from service.server import ended_by_signal, say

    create_server((host, port)).close()  # a port in use is said before anything else
    say(f"A fake Slack is at http://{host}:{port}, Ctrl-C stops it. Settings for it:")
    say(f"  slack: {{base_url: 'http://{host}:{port}/api/', token: xoxb-anything, channel: alerts}}")
    with ended_by_signal():
        serve(host, port)
