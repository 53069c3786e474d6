"""A streaming monitor for fleets of machine-learning models (modelwatch)."""
