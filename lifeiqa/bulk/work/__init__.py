"""Decoding in processes, scoring in batches."""
