"""`make faults`: rows of real servers, each with a fault, and a check that every candle is there and right."""
