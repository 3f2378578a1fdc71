"""The command line: ``adwatch --help`` lists it. Exit status: 0 done, 1 the run failed, 2 the input is wrong."""

from __future__ import annotations

import os
import sys
from importlib import metadata

import typer

from service import commands_history, commands_kafka, commands_operate, commands_run

app = typer.Typer(
    name="adwatch",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Alerting for performance marketing: spend and conversion facts in, few and well-founded alerts out.",
)
for group in (commands_run, commands_kafka, commands_history, commands_operate):
    group.register(app)


@app.command()
def version() -> None:
    """Print the version."""
    print(metadata.version("adwatch"))


def main() -> None:
    """Run a command and turn what went wrong into a message and an exit status."""
    sys.exit(status(sys.argv[1:]))


def status(arguments: list[str]) -> int:
    """The exit status of ``adwatch ARGUMENTS``; messages for people go to stderr."""
    try:
        app(args=arguments, prog_name="adwatch")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us has gone; nothing to flush
        return 1
    except Exception as error:
        from service import blame

        verdict = blame.verdict(error)
        if verdict is None:
            raise
        print(f"adwatch: {verdict[1]}", file=sys.stderr)
        return verdict[0]
    return 0


if __name__ == "__main__":
    main()
