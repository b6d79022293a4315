"""Stands in for `lifeiqa_benchmarks.gpu.part`: quick, and wrong where the network's name says so.

It takes the same arguments and appends the same kind of records, without torch.
"""

import argparse
import sys
import time
from pathlib import Path

from lifeiqa_benchmarks.gpu.records import Records


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("part")
    parser.add_argument("network")
    for option in ("--folder", "--device", "--batches", "--precision", "--seconds"):
        parser.add_argument(option)
    asked = parser.parse_args()
    records = Records(Path(asked.folder) / "records.jsonl")
    what = {"part": asked.part, "network": asked.network}
    if (asked.part, asked.network) == ("eager", "broken"):
        sys.exit("CUDA error: out of memory")
    if asked.part == "compile":
        if asked.network == "late":
            time.sleep(600)
        print("ready", flush=True)
        assert sys.stdin.readline() == "go\n"
    if (asked.part, asked.network) == ("graphs", "slow"):
        time.sleep(600)
    records.add("done", **what, batches=asked.batches, precision=asked.precision)


if __name__ == "__main__":
    main()
