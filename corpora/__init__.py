"""Ground floor: what the corpora are, where they lie, and how their bytes become documents."""
