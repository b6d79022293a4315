"""What a run writes: rows, shards, the ledger, the gallery, the page; and its progress."""
