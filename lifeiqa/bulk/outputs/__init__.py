"""Rows, shards, the ledger, thumbnails, the HTML page, progress."""
