"""`make faults`: rows of real servers, each with a fault, and whether every candle is there and right afterwards."""
