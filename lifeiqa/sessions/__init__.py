"""One runtime a module, each imported only when a file needs it."""
