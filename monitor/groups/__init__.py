"""Does a model treat groups of people unequally? Tallies by group, and the evidence of each group against the rest."""
