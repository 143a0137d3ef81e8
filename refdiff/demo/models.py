"""Where the demo's two models lie, wherever the package is installed."""

from pathlib import Path

MODELS = Path(__file__).parent / "models"
DIFFUSION = MODELS / "sd"
CLIP = MODELS / "clip"
