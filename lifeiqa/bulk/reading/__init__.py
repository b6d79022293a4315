"""An item becomes parts, its decoded crops, inside a worker process."""
