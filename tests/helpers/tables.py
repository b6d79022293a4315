"""Tables of images that are never read."""

from pathlib import Path

from lifeiqa.data.table import Table


def table(
    images: int, *, references: int = 0, parts: str = "", root: str = "data", name: str = "demo"
) -> Table:
    """Images in two folders; row ``i`` comes of reference ``i % references``."""
    return Table(
        name=name,
        paths=tuple(Path(root) / "ab"[row % 2] / f"{row}.png" for row in range(images)),
        scores=tuple(float(row) for row in range(images)),
        references=tuple(f"r{row % references}" for row in range(images)) if references else None,
        parts=tuple({"t": "train", "v": "val", "x": "test"}[part] for part in parts) or None,
    )
