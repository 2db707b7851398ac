"""Signals of quality, and the profiles that decide by them."""
