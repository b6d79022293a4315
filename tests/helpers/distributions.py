"""Distributions that are installed for a test: a folder on sys.path with their dist-info."""

from lifeiqa.runtimes import registry


def forget_runtimes():
    """Let the registry look for entry points again."""
    registry._entries.cache_clear()
    registry._loaded.cache_clear()


def install(folder, name, *, version="1.0", entry_points="", files=None):
    """Write a distribution as an installer would: its files, and ``NAME-VERSION.dist-info``.

    Args:
        folder: on ``sys.path``.
        name: of the distribution.
        version: of it.
        entry_points: text of ``entry_points.txt``.
        files: relative path -> text.
    """
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(entry_points)
    for path, text in (files or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
