"""A model file in a model repository of Triton Inference Server.

::

    REPOSITORY/NAME_onnx/config.pbtxt
                         1/model.onnx
                         1/model.onnx.json          the manifest, tied to the file as before
    REPOSITORY/NAME_tensorrt/config.pbtxt
                             1/model.plan
                             1/model.plan.json

Triton reads a version's folder by the name of the model file in it and leaves other files alone. A
model that is there already gets a further version, which Triton then serves in place of the older.

No Triton server has run what is written here: it follows Triton's documentation and what its core
and backends check when they load a model, which ``tests/helpers/fake_triton.py`` repeats.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from lifeiqa.artifacts.manifest import Manifest, read_manifest, write_with_sidecar
from lifeiqa.errors import ArtifactError, ConfigError
from lifeiqa.files import atomic_folder, atomic_write
from lifeiqa.runtimes.onnxruntime.session import OnnxRuntimeSession
from lifeiqa.runtimes.tensorrt.library import library_named
from lifeiqa_export.triton_config import config_text

CONFIG = "config.pbtxt"


@dataclass(frozen=True)
class Served:
    """A version of a model in a repository.

    Attributes:
        path: its folder, ``REPOSITORY/MODEL/VERSION``.
        added: whether it was written now, or was there already with the same bytes.
    """

    path: Path
    added: bool


def triton_from_model(model: Path, repository: Path, manifest: Manifest | None = None) -> Served:
    """Put an ONNX file or a TensorRT engine into a model repository, with its manifest.

    The folder of a new model and that of a further version each appear whole or not at all, and
    nothing else does: Triton takes every folder of a repository for a model. Only where the
    repository is a file system of its own, a process that is killed may leave one with a name that
    begins with "." and ends with ".part".

    A version is added only where its ``config.pbtxt`` would say what that of the last version said:
    the file holds for all of them, and is left as it is, with what was tuned in it.

    Args:
        model: the file, with its sidecar.
        repository: folder of the repository; made when missing.
        manifest: what `read_manifest` gave for the file; None reads it.

    Raises:
        ArtifactError: the file is missing, does not match its manifest or is none of the two.
        ConfigError: Triton cannot run it, or ``repository`` holds something else under its name.
    """
    manifest = manifest or read_manifest(model)
    last = require_place(manifest, repository)
    if manifest.engine is None:
        with OnnxRuntimeSession(model, manifest, device="cpu"):
            pass  # a graph that is not what its manifest says is refused here, not by the server
    folder = repository / model_name(manifest)
    if last is None:
        with atomic_folder(folder, staging=_staging(repository)) as temporary:
            with atomic_write(temporary / CONFIG) as config:
                config.write_text(config_text(manifest, folder.name), encoding="utf-8")
            (temporary / "1").mkdir()
            _write(model, manifest, temporary / "1")
        return Served(folder / "1", added=True)
    if _manifest_in(folder / str(last), manifest).sha256 == manifest.sha256:
        return Served(folder / str(last), added=False)
    version = folder / str(last + 1)
    with atomic_folder(version) as temporary:
        _write(model, manifest, temporary)
    return Served(version, added=True)


def require_place(manifest: Manifest, repository: Path) -> int | None:
    """Refuse a model that Triton cannot run, or whose place in a repository is taken.

    Args:
        manifest: of the model, or of one that is yet to be exported.
        repository: the model repository; it may be missing.

    Returns:
        The number of the model's last version there; None where there is none.

    Raises:
        ArtifactError, ConfigError: see `triton_from_model`.
    """
    _require_servable(manifest)
    name = model_name(manifest)
    wanted = config_text(manifest, name)
    folder = repository / name
    if not folder.exists():
        return None
    versions = [int(each.name) for each in folder.glob("[1-9]*") if each.name.isdecimal()]
    if not versions or not (folder / CONFIG).is_file():
        raise ConfigError(
            f"{folder} is there, and holds no model of Triton: a {CONFIG} and a version are "
            f"expected. Remove it, or name another folder"
        )
    last = max(versions)
    held = config_text(_manifest_in(folder / str(last), manifest), name)
    if wanted != held:
        changes = difflib.ndiff(held.splitlines(), wanted.splitlines())
        lines = "\n".join(line for line in changes if line.startswith(("-", "+")))
        raise ConfigError(
            f"{folder}: one {CONFIG} holds for all versions, and for this model it would differ "
            f"from that of version {last}. Remove the folder, or name another one\n{lines}"
        )
    return last


def require_full_tensorrt(name: str) -> None:
    """Refuse an engine that Triton's backend ``tensorrt`` cannot load.

    Raises:
        ConfigError: it is not of the full TensorRT.
    """
    if name != "tensorrt":
        raise ConfigError(
            f"Triton runs engines of TensorRT, and none of {library_named(name).title}. Build one "
            f"on a machine with the GPU that it is for: --engine tensorrt, or lifeiqa-engine build"
        )


def model_name(manifest: Manifest) -> str:
    """``NAME_onnx`` or ``NAME_tensorrt``.

    Raises:
        ConfigError: the model has a name that neither a folder nor an address can have.
    """
    if not re.fullmatch(r"\w[\w.-]*", manifest.name):
        raise ConfigError(
            f"the model is called {manifest.name!r}, and Triton takes its name for a folder and an "
            f"address: letters, digits, points, dashes and underscores are expected. Give the "
            f"checkpoint another name"
        )
    return f"{manifest.name}_{'onnx' if manifest.engine is None else 'tensorrt'}"


def _require_servable(manifest: Manifest) -> None:
    if manifest.kind == "checkpoint":
        raise ArtifactError(
            f"{manifest.name} is a checkpoint, and Triton runs ONNX files and engines: export it "
            f"with --precision"
        )
    if len(manifest.files) > 1:
        raise ConfigError(
            f"{manifest.name} is a model of {len(manifest.files)} files, and one is put into the "
            f"repository: export it again with lifeiqa-export, which writes one"
        )
    if manifest.engine is None:
        return
    require_full_tensorrt(manifest.engine.runtime)
    if manifest.engine.stripped:
        raise ConfigError(
            "the engine was built without its weights, and Triton does not put them back: build "
            "it without --strip-plan"
        )


def _staging(repository: Path) -> Path:
    """The folder to prepare a model in: beside the repository, if that is one file system."""
    repository.mkdir(parents=True, exist_ok=True)
    beside = repository.resolve().parent
    same = beside.stat().st_dev == repository.stat().st_dev
    return beside if same and os.access(beside, os.W_OK) else repository


def _manifest_in(version: Path, like: Manifest) -> Manifest:
    return read_manifest(version / _file_name(like))


def _write(model: Path, manifest: Manifest, version: Path) -> None:
    def copy(temporary: Path) -> None:
        shutil.copyfile(model, temporary)

    write_with_sidecar(version / _file_name(manifest), manifest, copy)


def _file_name(manifest: Manifest) -> str:
    """As Triton's backends look for it."""
    return "model.onnx" if manifest.engine is None else "model.plan"
