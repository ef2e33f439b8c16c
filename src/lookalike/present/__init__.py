"""Showing results: as text, as a contact sheet, as a page. Knows only ``types``."""
