"""MkDocs hook: links from a page to a source file also work on the built site.

Pages link to sources the way GitHub shows them, ``../lifeiqa/model/gcn.py``. Such a file becomes a
highlighted page under ``source/``, and a link whose text names a function, class or method of a
Python file goes to its line.
"""

from __future__ import annotations

import ast
import posixpath
import re
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
# [text](target) outside code; the target is relative and has no scheme.
LINK = re.compile(r"\[(?P<text>[^\]\[]*)\]\((?P<target>[^)\s:]+)\)")
_LANGUAGES = {".py": "python", ".cpp": "cpp", ".hpp": "cpp", ".h": "cpp", ".toml": "toml",
              ".sh": "sh", ".json": "json", ".yml": "yaml"}  # fmt: skip


def repository_path(page: str, target: str) -> str | None:
    """The path from the repository's root of what a page of docs/ links to; None inside docs/."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
    return None if path == "docs" or path.startswith("docs/") else path


def symbols(path: Path) -> dict[str, int]:
    """Line of each class, function, method (``Class.method``) and constant of a Python file."""
    found: dict[str, int] = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found[prefix + node.name] = node.lineno
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{node.name}.")
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.AnnAssign):
                targets = [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    found[prefix + target.id] = node.lineno

    visit(ast.parse(path.read_text("utf-8")).body, "")
    return found


_symbols = cache(symbols)


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add a page for each source file that some page links to."""
    wanted = set()
    for file in files.documentation_pages():
        for link in LINK.finditer(file.content_string):
            path = repository_path(file.src_uri, link["target"].partition("#")[0])
            if path is not None and (ROOT / path).is_file():
                wanted.add(path)
    for path in sorted(wanted):
        text = (ROOT / path).read_text("utf-8")
        if path.endswith(".md"):
            body = re.sub(LINK, lambda link: link["text"], text)
        else:
            language = _LANGUAGES.get(Path(path).suffix, "text")
            body = f'# {path}\n\n~~~~~~{language} linenums="1"\n{text}\n~~~~~~\n'
        files.append(File.generated(config, f"source/{path}.md", content=body))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Point links to sources at their pages."""

    def pointed(link: re.Match[str]) -> str:
        target, _, anchor = link["target"].partition("#")
        path = repository_path(page.file.src_uri, target)
        if path is None or not target:
            return link[0]
        if (ROOT / path).is_dir():
            return link["text"]  # a folder has no page
        name = link["text"].strip("`")
        title = ""
        if path.endswith(".py") and name in _symbols(ROOT / path):
            title = f' "line {_symbols(ROOT / path)[name]}"'  # see on_page_content
        up = posixpath.relpath(f"source/{path}.md", posixpath.dirname(page.file.src_uri) or ".")
        return f"[{link['text']}]({up}{'#' + anchor if anchor else ''}{title})"

    return markdown if page.file.src_uri.startswith("source/") else re.sub(LINK, pointed, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Add the line to links to sources. MkDocs would not find these anchors in the Markdown."""
    return re.sub(r'href="([^"#]+)" title="line (\d+)"', r'href="\1#__codelineno-0-\2"', html)
