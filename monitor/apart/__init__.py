"""Does how a feature lies in a group, beside the rest, change? What always differed is a report; a change is told."""
