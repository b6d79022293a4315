"""What is to be scored: files, folders, patterns, lists, tables, archives, videos, addresses."""
