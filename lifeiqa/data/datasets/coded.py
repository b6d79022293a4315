"""Names such as ``I01_07_3.bmp``: picture 1, distortion 7, level 3, as TID2013 and KADID have."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lifeiqa.data.datasets.layout import Rows
from lifeiqa.errors import DatasetError

_NAME = re.compile(r"(I\d+)_(\d+)_(\d+)\.\w+", re.IGNORECASE)


def origins(
    rows: Rows, names: Sequence[str], distortions: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The reference, such as ``I01``, and the kind of distortion that each picture's name tells.

    Args:
        rows: where the names stand, for messages.
        names: of the pictures.
        distortions: kinds of distortion, from number 1 on.

    Raises:
        DatasetError: a name has another form, or an unknown distortion.
    """
    references, kinds = [], []
    for (where, _), name in zip(rows, names, strict=True):
        match = _NAME.fullmatch(name)
        if match is None or not 1 <= int(match[2]) <= len(distortions):
            raise DatasetError(
                f"{where}: {name!r}: a name such as I01_01_1, picture, distortion 1 to "
                f"{len(distortions)} and level, is expected"
            )
        references.append(match[1].upper())
        kinds.append(distortions[int(match[2]) - 1])
    return references, kinds
