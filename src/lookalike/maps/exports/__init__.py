"""A map in other programs' forms: one file per form, each a function of an ``ExportSource``."""
