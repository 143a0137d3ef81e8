"""Which files of a Stable Diffusion pipeline are read (no torch here)."""

from refdiff.model_files import ModelKind

INDEX, SCHEDULER = "model_index.json", "scheduler/scheduler_config.json"
PIPELINE = ModelKind(
    noun="a pipeline",
    stems={"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"},
    others=(INDEX, "*/*config.json", "tokenizer/*"),
    library="diffusers",
    classes=("StableDiffusionPipeline",),
    options=", safety_checker=None",
)
