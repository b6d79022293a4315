"""Write docs/reference/cli.md from the commands themselves: ``python tools/cli_reference.py``."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

PAGE = Path(__file__).resolve().parent.parent / "docs/reference/cli.md"
_HEADER = """\
# Commands

<!-- Written by `make reference`. Do not edit: change the command's help instead. -->

Exit status of every command: 0; 1 when a check failed or an image could not be scored; 2 for bad
input; 130 after Ctrl-C. Results go to standard output, messages and progress to standard error.
"""


def commands() -> dict[str, click.Command]:
    """The four commands by name."""
    from lifeiqa.cli import main as lifeiqa
    from lifeiqa_benchmarks.cli import main as bench
    from lifeiqa_engines.cli import main as engine
    from lifeiqa_export.cli import main as export

    return {
        "lifeiqa": lifeiqa,
        "lifeiqa-export": export,
        "lifeiqa-engine": engine,
        "lifeiqa-bench": bench,
    }


def reference() -> str:
    """The whole page."""
    parts = [_HEADER]
    for name, command in commands().items():
        parts += _sections(name, command)
    return "\n".join(parts)


def _sections(name: str, command: click.Command) -> Iterator[str]:
    if command.hidden:
        return
    level = "##" if " " not in name else "###"
    yield f"{level} {name}\n"
    if isinstance(command, click.Group):
        yield f"{_help(command)}\n"
        for sub in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), sub)
            if found is not None:
                yield from _sections(f"{name} {sub}", found)
        return
    context = click.Context(command, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{name} {usage}\n```\n"
    yield f"{_help(command)}\n"
    if command.epilog:
        yield f"```sh\n{command.epilog.removeprefix('Example: ')}\n```\n"
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    if options:
        yield "| option | meaning |\n| --- | --- |"
        yield from (f"| {_names(option, context)} | {_words(option)} |" for option in options)
        yield ""


def _help(command: click.Command) -> str:
    r"""The help as Markdown: literal paragraphs (``\b``) become code blocks."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(
        f"```sh\n{inspect.cleandoc(part.removeprefix(chr(8)))}\n```"
        if part.startswith("\b")
        else _escaped(part)
        for part in paragraphs
    )


def _names(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.is_flag or option.count:
        return names
    # A bar inside backticks would end the cell, or show the backslash before it.
    value = html.escape(option.make_metavar(context)).replace("|", "&#124;<wbr>")
    return f"{names} <code>{value}</code>"


def _words(option: click.Option) -> str:
    words = _escaped(re.sub(r"\s+", " ", option.help or "")).replace("|", "\\|")
    if option.required:
        words += " Required."
    if option.multiple:
        words += " May be repeated."
    if option.show_default and option.default is not None and not option.is_flag:
        words += f" Default: `{option.default}`."
    return words.strip()


def _escaped(text: str) -> str:
    """Names in capitals and angle brackets as they are, not as HTML or emphasis."""
    return re.sub(r"([<>*])", r"\\\1", text)


if __name__ == "__main__":
    PAGE.write_text(reference(), "utf-8")
