"""How a model is used and answers, as no single distribution shows it: what stands still, repeats or is not allowed."""
