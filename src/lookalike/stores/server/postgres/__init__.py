"""A library on PostgreSQL with pgvector."""
