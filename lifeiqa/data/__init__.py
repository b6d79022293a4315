"""Labelled images: tables of scores, and distortions of known kinds."""
