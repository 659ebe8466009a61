"""The report of a simulation: one HTML file that a person opens, without a network, to see what happened."""
