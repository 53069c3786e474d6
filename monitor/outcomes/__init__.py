"""Predictions meet their outcomes, and what is mature is judged: errors, losses, calibration."""
