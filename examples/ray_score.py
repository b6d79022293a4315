"""Score images on a Ray cluster, from a Parquet table of paths or from a folder.

    pip install 'lifeiqa[cpu,ray]'
    python ray_score.py images.parquet scores  # with a column "path"
    python ray_score.py images scores --model model.fp32.onnx

Writes Parquet files to the folder ``scores``, with a row for every image. The folder must not exist
yet: Ray would add its rows to those of an earlier run. The paths of a table must be readable on
every machine. The files of a folder are read by Ray, so that it may be a bucket, such as
s3://bucket/images. Ray ignores names that begin with "_" or ".".
"""

from __future__ import annotations

import argparse
import sys

import ray

from lifeiqa.integrations.ray import ScoreBatch
from lifeiqa.preprocess.decode import SUFFIXES


def main(source: str, target: str, model: str | None, actors: int) -> None:
    """Read the table or folder ``source``, score it, write the table ``target``."""
    ray.init(ignore_reinit_error=True)
    cpus = ray.cluster_resources().get("CPU", 0)
    if actors >= cpus:  # Ray would wait forever
        sys.exit(f"{actors} actors on {cpus:g} CPUs leave none to read and write: use fewer actors")
    table = source.endswith(".parquet")
    if table:
        # Ray distributes whole blocks, and one block of paths could hold a million images.
        images = ray.data.read_parquet(source).repartition(target_num_rows_per_block=1024)
    else:
        images = ray.data.read_binary_files(
            source, include_paths=True, file_extensions=sorted(SUFFIXES)
        )
    scored = images.map_batches(
        ScoreBatch,
        fn_constructor_kwargs={
            "column": "path" if table else "bytes",
            "model": model,
            "drop": not table,  # do not write the images
        },
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors),
        num_cpus=1,  # per actor; its session has one thread
    )
    scored.write_parquet(target, mode="error", min_rows_per_file=100_000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="a .parquet file with a column 'path', or a folder")
    parser.add_argument("target", help="a folder that does not exist yet")
    parser.add_argument("--model", help="a model file (default: the bundled model)")
    parser.add_argument(
        "--actors", type=int, default=2, help="maximum number of actors, one CPU each (default: 2)"
    )
    options = parser.parse_args()
    main(options.source, options.target, options.model, options.actors)
