"""Scoring inside other people's frameworks; a module imports only where its framework is used."""
