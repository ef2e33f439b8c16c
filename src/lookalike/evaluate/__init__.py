"""Measuring: how good a way of comparing is, and what it costs."""
