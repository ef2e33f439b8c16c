"""Indexing beyond one machine: the same steps as ``pipeline``, in the processes of a Ray cluster.

``packing`` turns what goes from process to process into bytes and back, ``blocks`` are the steps as
plain functions, ``parts`` writes Parquet, ``workers`` is all that knows Ray.
"""
