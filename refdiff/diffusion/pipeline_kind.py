"""Whether a pipeline is of the kind that a sentence and a photo can drive: told from its configurations (no torch)."""

from collections.abc import Mapping
from typing import Any

from refdiff.diffusion.latent_size import CROSS_MID, KNOWN_BLOCKS
from refdiff.errors import ModelError

_EXPECTED = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": ("CLIPTextModel",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
}
_ADVICE = "choose a text-to-image model such as SD 1.x or 2.x"
# Other U-Nets of the Stable Diffusion family, by the channels that they take.
_BY_CHANNELS = {5: "depth", 7: "upscaling", 8: "editing", 9: "inpainting"}
_BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
PREDICTIONS = ("epsilon", "v_prediction", "sample")

Config = Mapping[str, Any]


def check_index(name: str, index: Config) -> None:
    """Refuse a pipeline of other parts.

    Args:
        name: Of the model.
        index: Its model_index.json.

    Raises:
        ModelError: A part is of another class, or there are more text encoders than one.
    """
    kind = index.get("_class_name")
    what = f"model {name}: is a {kind}" if isinstance(kind, str) else f"model {name}: is no Stable Diffusion"
    if _class_of(index, "text_encoder_2") or kind == "StableDiffusionXLPipeline":
        raise ModelError(f"{what} with more than one text encoder (SDXL is not handled); {_ADVICE}")
    for part, classes in _EXPECTED.items():
        got = _class_of(index, part)
        if part in index and got not in classes:
            raise ModelError(f"{what} whose {part} is {got or 'not there'}; expected {classes[0]}; {_ADVICE}")
        if part not in index and "transformer" in index:
            raise ModelError(
                f"{what} with a {_class_of(index, 'transformer')} and no {part}; expected a U-Net; {_ADVICE}"
            )


def check_parts(name: str, unet: Config, vae: Config, text_encoder: Config) -> None:
    """Refuse parts that need more than a sentence and a photo, or do not fit each other.

    Args:
        name: Of the model.
        unet: Configuration of the U-Net.
        vae: Configuration of the VAE.
        text_encoder: Configuration of the text encoder.

    Raises:
        ModelError: They are of another kind, or of two models, or a configuration says too little.
    """
    for part, config in (("unet", unet), ("vae", vae)):
        if config.get("_class_name", _EXPECTED[part][0]) not in _EXPECTED[part]:
            raise ModelError(
                f"model {name}: its {part} is a {config['_class_name']}; expected {_EXPECTED[part][0]}; {_ADVICE}"
            )
    _need(name, "unet", unet, "in_channels", "cross_attention_dim", "down_block_types", "up_block_types")
    _need(name, "vae", vae, "block_out_channels", "latent_channels")
    _need(name, "text_encoder", text_encoder, "hidden_size")
    wanted = [key for key in ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type") if unet.get(key)]
    if wanted:
        raise ModelError(
            f"model {name}: its U-Net wants more than one text encoder gives ({wanted[0]} is {unet[wanted[0]]!r}; SDXL "
            f"is not handled); {_ADVICE}"
        )
    if unet["in_channels"] != vae["latent_channels"]:
        kind = _BY_CHANNELS.get(unet["in_channels"], "inpainting, depth and upscaling")
        raise ModelError(
            f"model {name}: its U-Net takes {unet['in_channels']} channels and its VAE gives "
            f"{vae['latent_channels']} ({kind} models are not handled); {_ADVICE}"
        )
    if unet["cross_attention_dim"] != text_encoder["hidden_size"]:
        raise ModelError(
            f"model {name}: its U-Net reads text of {unet['cross_attention_dim']} channels and its text "
            f"encoder gives {text_encoder['hidden_size']}; the folder mixes two models; {_ADVICE}"
        )
    blocks = {*unet["down_block_types"], *unet["up_block_types"], unet.get("mid_block_type") or CROSS_MID}
    strange = sorted(blocks - KNOWN_BLOCKS) or [
        key for key in ("dual_cross_attention", "only_cross_attention") if _is_set(unet.get(key))
    ]
    if strange:
        raise ModelError(f"model {name}: its U-Net has {strange[0]}, which is not handled; {_ADVICE}")


def check_scheduler(name: str, scheduler: Config) -> None:
    """Refuse a noise schedule that is not a table of betas, or that the file leaves to a library's defaults.

    `prediction_type` alone may be left out: files of SD 1.x are without it, and it means epsilon.

    Args:
        name: Of the model.
        scheduler: Its scheduler_config.json.

    Raises:
        ModelError: It is another schedule, or says too little.
    """
    kind, prediction = scheduler.get("_class_name", ""), scheduler.get("prediction_type", "epsilon")
    if "FlowMatch" in str(kind) or scheduler.get("use_flow_sigmas") or str(prediction).startswith("flow"):
        raise ModelError(
            f"model {name}: its scheduler is {kind or 'one'} of flow matching, its U-Net predicts {prediction!r}; "
            f"expected a noise schedule of betas; {_ADVICE}"
        )
    if prediction not in PREDICTIONS:
        raise ModelError(
            f"model {name}: its U-Net predicts {prediction!r}; expected {', '.join(PREDICTIONS)}; choose another model"
        )
    given = scheduler.get("trained_betas") is not None
    keys = ("num_train_timesteps",) if given else ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps")
    _need(name, "scheduler", scheduler, *keys)
    if not given and scheduler["beta_schedule"] not in _BETA_SCHEDULES:
        raise ModelError(
            f"model {name}: its scheduler has beta_schedule {scheduler['beta_schedule']!r}; expected one of "
            f"{', '.join(_BETA_SCHEDULES)}; {_ADVICE}"
        )
    for key in keys:
        value = scheduler[key]
        is_count = key == "num_train_timesteps"
        fits = isinstance(value, int) and value > 0 if is_count else key == "beta_schedule" or _is_share(value)
        if not fits:
            expected = "a whole number above 0" if is_count else "a number in (0, 1)"
            raise ModelError(f"model {name}: its scheduler has {key} {value!r}; expected {expected}; correct the file")


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value < 1


def _is_set(value: object) -> bool:
    return any(value) if isinstance(value, list) else bool(value)


def _class_of(index: Config, part: str) -> str | None:
    """The class of a part in model_index.json: `[library, class]`, or nulls where the pipeline goes without it."""
    entry = index.get(part)
    return entry[1] if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], str) else None


def _need(name: str, part: str, config: Config, *keys: str) -> None:
    missing = [key for key in keys if config.get(key) is None]
    if missing:
        raise ModelError(
            f"model {name}: the configuration of its {part} has no {', no '.join(missing)}; expected all of "
            f"{', '.join(keys)}; fetch the file again or {_ADVICE}"
        )
