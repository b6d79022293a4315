"""`lifeiqa score` as tests call it."""

import json

from click.testing import CliRunner

from lifeiqa.cli import main


def score(model, *arguments, **settings):
    command = [
        "score",
        "--model",
        model,
        "--runtime",
        "onnxruntime",
        "--device",
        "cpu",
        "--threads",
        "1",
        *arguments,
    ]
    return CliRunner().invoke(main, [str(word) for word in command], **settings)


def rows(model, *arguments, status=0, **settings):
    done = score(model, "--format", "jsonl", *arguments, **settings)
    assert done.exit_code == status, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def greys(found):
    return [row.get("score") for row in found]
