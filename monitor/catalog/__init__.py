"""Which models, series and references exist."""
