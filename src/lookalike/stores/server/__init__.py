"""Libraries on database servers: one store over an engine, PostgreSQL or ClickHouse."""
