"""How many events come: far more or fewer than is usual, or none at all."""
