"""Model files: what each is, what it came from, how to feed it, checked before it runs."""
