"""Candidate masks: sources behind one interface, filters, and the table that holds them."""
