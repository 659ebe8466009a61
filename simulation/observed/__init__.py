"""What happened, as the harness saw it, and what must follow from it: history, recorder, reference model."""
