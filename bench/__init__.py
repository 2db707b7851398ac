"""Figures that depend on the machine: printed, never asserted."""
