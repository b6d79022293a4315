"""Many images: from where they lie, through processes that decode and one that scores, to rows.

::

    sources -> items -> pool of workers (decode, crop) -> batches -> rows -> table, shards, page
"""
