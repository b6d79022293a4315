"""Score images on a Ray cluster: a Parquet table with their paths, or a folder of them.

    pip install 'lifeiqa[cpu,ray]'
    python ray_score.py images.parquet scores  # with a column "path"
    python ray_score.py images scores --model model.fp32.onnx

Writes Parquet files to the folder ``scores``, with a row for every image. It must not be there
yet: Ray would add to what an earlier run has left, and rows would be there twice. Paths of a table
must be readable from every machine; of a folder, Ray reads the files and carries their bytes, so
that it may be a bucket: s3://bucket/images. Ray passes over names that begin with "_" or ".".
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
    if actors >= cpus:  # Ray would wait for ever
        sys.exit(f"{actors} actors on {cpus:g} CPUs leave none to read and write: take fewer")
    table = source.endswith(".parquet")
    if table:
        # Ray hands out whole blocks, and one of paths alone could hold a million images.
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
            "drop": not table,  # the scores need not carry the images along
        },
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors),
        num_cpus=1,  # for each actor, as its session has one thread
    )
    scored.write_parquet(target, mode="error", min_rows_per_file=100_000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="a .parquet file with a column 'path', or a folder")
    parser.add_argument("target", help="a folder, which is not there yet")
    parser.add_argument("--model", help="a model file; the bundled model unless given")
    parser.add_argument("--actors", type=int, default=2, help="at most; a CPU each (default: 2)")
    options = parser.parse_args()
    main(options.source, options.target, options.model, options.actors)
