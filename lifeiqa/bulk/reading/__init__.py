"""From an item to its crops, inside a process that decodes."""
