"""What the tokens are worth: DuckDB and arithmetic. Imports neither Beam nor torch."""
