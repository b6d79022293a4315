"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lifeiqa.errors import ConfigError
from lifeiqa.runtimes.entry import DEVICES
from lifeiqa.runtimes.provider import PROVIDERS, from_provider
from lifeiqa.runtimes.registry import runtime_names
from lifeiqa.weights import DEFAULT

model = click.option(
    "--model", default=DEFAULT, show_default=True, help="A model file or a bundled name."
)
threads = click.option("--threads", type=click.IntRange(1), help="CPU threads per run.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class RuntimeName(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """The name of a runtime; the registry is asked when the names are needed.

    Args:
        others: names that are accepted as well.
    """

    name = "runtime"

    def __init__(self, *others: str) -> None:
        self._others = others

    def get_metavar(self, param: Any, ctx: Any = None) -> str:
        """The names, as `click.Choice` shows them."""
        return f"[{'|'.join(self._names)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """One of the names, or a usage error that lists them."""
        return str(click.Choice(self._names).convert(value, param, ctx))

    @property
    def _names(self) -> tuple[str, ...]:
        return (*runtime_names(), *self._others)


RUNTIME, DEVICE = RuntimeName(), click.Choice(DEVICES)


def runtime(model: str = "model", part: str = "") -> Callable[[Callable[..., Any]], Any]:
    """Give a command ``--runtime`` and ``--device``, as the arguments ``runtime`` and ``device``.

    The hidden ``--provider``, which they replace, is accepted for one release with a warning.

    Args:
        model: name of the command's argument that holds the model file.
        part: what is added to the names where a command compares two models, ``"a"``.
    """
    of = f" of {part.upper()}" if part else ""
    auto = "onnxruntime for an ONNX model" if part else "auto, see `lifeiqa inspect`"
    dashed, joined = (f"-{part}", f"_{part}") if part else ("", "")

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.option(
            f"--runtime{dashed}",
            type=RUNTIME,
            help=f"Runtime{of}.  [default: {auto}]",
        )
        @click.option(
            f"--device{dashed}",
            type=DEVICE,
            help=f"Device{of}.  [default: a GPU if usable, else cpu]",
        )
        @click.option(f"--provider{dashed}", type=click.Choice(PROVIDERS), hidden=True)
        @functools.wraps(command)
        def wrapped(**given: Any) -> Any:
            provider = given.pop(f"provider{joined}")
            if provider is not None:
                given |= _replaced(provider, given, given[model], dashed, joined)
            return command(**given)

        return wrapped

    return decorate


def _replaced(
    provider: str, given: dict[str, Any], model: str, dashed: str, joined: str
) -> dict[str, str | None]:
    if given[f"runtime{joined}"] is not None or given[f"device{joined}"] is not None:
        raise ConfigError(
            f"--provider{dashed} is mutually exclusive with --runtime{dashed} and "
            f"--device{dashed}: drop it"
        )
    suffix = Path(model).suffix if Path(model).is_file() else ".onnx"  # a bundled name
    runtime, device = from_provider(provider, suffix)
    words = " ".join(
        f"--{name}{dashed} {value}"
        for name, value in (("runtime", runtime), ("device", device))
        if value is not None
    )
    click.echo(f"--provider{dashed} is deprecated and goes with lifeiqa 0.3: use {words}", err=True)
    return {f"runtime{joined}": runtime, f"device{joined}": device}
