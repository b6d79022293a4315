"""How fast and how exact the networks are on a GPU: all candidates in one run of a few minutes.

``python -m lifeiqa_benchmarks.gpu --out FOLDER``, or ``make bench-gpu``. Each part runs in its own
process, since a CUDA error leaves its process unusable. Failures are recorded.
"""
