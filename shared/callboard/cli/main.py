"""The entry point: parses, runs the command, turns every error into one sentence and an exit code."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter

from callboard.cli import exits

_HELP = "Run goals: an objective and a typed contract in, a checked result out."
_COMMANDS = (
    ("run", "run", "Run a goal and watch it."),
    ("up", "up", "Start the broker and all services, until Ctrl-C."),
    ("demo", "demo", "Run the shipped example."),
    ("runs", "runs:app", "List, show, follow and control runs."),
    ("approvals", "approvals:app", "See what waits for a person, and decide."),
    ("cost", "cost", "Tell what was spent, by user, skill, model and more."),
    ("traces", "traces:app", "Export spans of runs that are over."),
    ("audit", "audit:app", "Export who did what, and verify what was exported."),
    ("skills", "skills:app", "List skills, or deploy a folder of them."),
    ("memory", "memory:app", "Documents, facts, what runs did: find, trace, forget."),
    ("policy", "policy:app", "Say which calls wait for a person."),
    ("tools", "tools", "List the tools that runs may use."),
    ("models", "models:app", "List, fetch and choose models."),
    ("keys", "keys:app", "Make and remove API keys."),
    ("doctor", "doctor", "Check this machine, and say how to get what is missing."),
)


def application() -> App:
    """Return the application. Commands are named here and imported when they are used."""
    app = App(
        name="callboard",
        help=_HELP,
        help_epilogue="Exit codes: 0 completed, 1 internal error, 2 usage, 3 failed or unachievable, 4 cancelled.",
        version=_version,
        version_flags=["--version"],
        help_format="plaintext",
        print_error=False,
        exit_on_error=False,
        result_action="return_value",
        default_parameter=Parameter(negative=(), show_default=False),
    )
    for name, target, text in _COMMANDS:
        module, _, found = target.partition(":")
        app.command(f"callboard.cli.{module}:{found or module}", name=name, help=text)
    return app


def _version() -> str:
    from importlib.metadata import version

    return version("callboard")


def main(tokens: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    sys.exit(call(sys.argv[1:] if tokens is None else tokens))


def call(tokens: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    app = application()
    try:
        code = app(list(tokens))
    except CycloptsError as error:
        return exits.usage(str(error), " ".join(["callboard", *_command(tokens)]))
    except BaseException as error:  # noqa: BLE001 - the last frontier: no stack trace reaches a person
        return exits.report(error)
    return code if isinstance(code, int) else exits.OK


def _command(tokens: Sequence[str]) -> list[str]:
    known = {name for name, _, _ in _COMMANDS}
    return [tokens[0]] if tokens and tokens[0] in known else []
