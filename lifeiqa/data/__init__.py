"""Labelled pictures: tables of scores, and distortions of known kinds."""
