"""What a model does on a GPU: every candidate in one run of some minutes, failures recorded.

``python -m lifeiqa_benchmarks.gpu --out FOLDER``, or ``make bench-gpu``. Each part is a process of
its own, since an error of CUDA spoils the process that it happens in.
"""
