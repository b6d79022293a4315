"""The reference of the commands is what the commands say, and every option says something."""

import re
import sys
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import cli_reference  # noqa: E402


def test_the_page_is_current():
    written = cli_reference.PAGE.read_text("utf-8")

    assert written == cli_reference.reference(), "run: make reference"


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


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A command as it stands at the beginning of a line of a code block, or of code in a sentence.
WRITTEN = re.compile(r"(?:^|`)(lifeiqa(?:-export|-engine|-bench)?) ([^`\n#|>]*)", re.MULTILINE)


def unknown(text):
    """Each command of a page that does not exist, and each option that its command lacks."""
    known = cli_reference.commands()
    for program, rest in WRITTEN.findall(text.replace("\\\n", " ")):
        command, words, name = known[program], rest.split(), program
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            if words[0].isupper():  # any command
                words, command = [], None
                continue
            if words[0] not in command.commands:
                yield f"{name} {words[0]}"
                words, command = [], None
                continue
            name = f"{name} {words[0]}"
            command = command.commands[words.pop(0)]
        if command is not None:
            options = {one for option in command.params for one in option.opts} | {"--help"}
            options |= {"--version"} if isinstance(command, click.Group) else set()
            given = [word.partition("=")[0].rstrip(",;.)") for word in words if word[:2] == "--"]
            yield from (f"{name} {option}" for option in given if option not in options)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_that_a_page_names_exist(page):
    assert list(unknown(page.read_text("utf-8"))) == []


def test_an_unknown_command_and_an_unknown_option_are_found():
    text = "`lifeiqa scoer a.jpg`\nlifeiqa score a.jpg --no-such\nlifeiqa score -r \\\n    --fast\n"

    assert list(unknown(text)) == [
        "lifeiqa scoer",
        "lifeiqa score --no-such",
        "lifeiqa score --fast",
    ]
