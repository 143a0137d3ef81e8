"""`refdiff doctor`: what this machine has of what params.yaml asks for, what brings the rest, and what a run costs."""
