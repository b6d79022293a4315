"""Many images: from names, through processes that decode and one that scores, to rows.

::

    inputs -> items -> reading (in processes) -> parts -> assemble -> rows -> table, shards, page
"""
