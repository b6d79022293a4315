"""Scoring inside other frameworks. No module imports its framework before it is used."""
