"""The reference of the commands is what the commands say, and every option says something."""

import sys
from pathlib import Path

import click

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import cli_reference  # noqa: E402


def test_every_command_and_option_has_help():
    def bare(name, command):
        if not command.help:
            yield name
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden and not option.help:
                yield f"{name} {option.opts[0]}"
        for sub in getattr(command, "commands", {}).values():
            yield from bare(f"{name} {sub.name}", sub)

    missing = [
        one for name, command in cli_reference.commands().items() for one in bare(name, command)
    ]

    assert missing == []
