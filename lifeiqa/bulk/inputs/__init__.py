"""Names become items: files, folders, patterns, lists, tables, archives, videos, addresses."""
