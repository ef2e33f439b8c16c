"""A library on ClickHouse, on MyScale, or on the engine of ClickHouse in this process (chDB)."""
