"""Whether a mask generator can work, from its configuration and the headers of its weights alone (no torch here)."""

from refdiff.errors import ModelError
from refdiff.model_files import ModelFacts, ModelKind, open_folder

# What transformers generates masks with, by `model_type` of config.json; the test compares them.
FAMILY = frozenset({"edgetam", "edgetam_video", "sam", "sam2", "sam2_video", "sam3_tracker", "sam3_video", "sam_hq"})

MASK_GENERATOR = ModelKind(
    noun="a mask generator",
    stems={"": "model"},
    others=("config.json", "*processor_config.json"),
    library="transformers",
    classes=("AutoModelForMaskGeneration", "AutoImageProcessor"),
)


def inspect_sam(model: str, revision: str | None) -> ModelFacts:
    """Find a mask generator and see that it can work.

    Args:
        model: A folder, or a hub id.
        revision: Of a hub id.

    Raises:
        ModelError: It is not here, or can never propose masks; the message says what to do.
    """
    folder = open_folder(model, revision, MASK_GENERATOR)
    model_type = folder.read_json("config.json").get("model_type")
    if model_type not in FAMILY:
        raise ModelError(
            f"model {model}: config.json has model_type {model_type!r}; expected one that generates masks: "
            f"{', '.join(sorted(FAMILY))}; name another model, such as facebook/sam-vit-huge"
        )
    # Newer models have the other one.
    processors = [
        name for name in ("preprocessor_config.json", "processor_config.json") if (folder.path / name).is_file()
    ]
    processor = (processors or ["preprocessor_config.json"])[0]
    weights = folder.find_weights([processor])
    folder.read_json(processor)
    return ModelFacts(model, folder.path, weights)
