"""Records out of a library and into one: Parquet, arrays and tables that other programs read.

Out: ``selection`` (which records, piece by piece) -> ``parquet``, ``photos``, ``arrays``,
``table`` -> ``card`` and ``hub``; ``export`` is the path through them. In: ``own_parquet``,
``photos``, ``clip_retrieval`` and ``rclip`` read what is there into ``incoming`` rows, which
``bring`` checks, all of them, and puts. Names and types of columns are in docs/exchange.md.
"""
