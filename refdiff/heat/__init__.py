"""From stored attention to a heat map of a sentence."""
