"""What a person sees: drawings over photos, curves, and one self-contained HTML page."""
