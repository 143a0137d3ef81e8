"""Whether a pipeline is of the kind that a sentence and a photo can drive: told from its configurations (no torch).

Each function gives the first reason why not, with what to do, or None.
"""

from collections.abc import Mapping
from typing import Any

from refdiff.diffusion.latent_size import CROSS_MID, KNOWN_BLOCKS

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


def refuse_index(index: Config) -> str | None:
    """Why a pipeline with this model_index.json, of other parts, cannot be used."""
    kind = index.get("_class_name")
    what = f"is a {kind}" if isinstance(kind, str) else "is no Stable Diffusion"
    if _class_of(index, "text_encoder_2") or kind == "StableDiffusionXLPipeline":
        return f"{what} with more than one text encoder (SDXL is not handled); {_ADVICE}"
    for part, classes in _EXPECTED.items():
        got = _class_of(index, part)
        if part in index and got not in classes:
            return f"{what} whose {part} is {got or 'not there'}; expected {classes[0]}; {_ADVICE}"
        if part not in index and "transformer" in index:
            return f"{what} with a {_class_of(index, 'transformer')} and no {part}; expected a U-Net; {_ADVICE}"
    return None


def refuse_parts(unet: Config, vae: Config, text_encoder: Config) -> str | None:
    """Why parts with these configurations cannot be used: they need more than a sentence and a photo, or do not fit."""
    for part, config in (("unet", unet), ("vae", vae)):
        if config.get("_class_name", _EXPECTED[part][0]) not in _EXPECTED[part]:
            return f"its {part} is a {config['_class_name']}; expected {_EXPECTED[part][0]}; {_ADVICE}"
    lack = (
        _find_lack("unet", unet, "in_channels", "cross_attention_dim", "down_block_types", "up_block_types")
        or _find_lack("vae", vae, "block_out_channels", "latent_channels")
        or _find_lack("text_encoder", text_encoder, "hidden_size")
    )
    if lack:
        return lack
    wanted = [key for key in ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type") if unet.get(key)]
    if wanted:
        given = f"{wanted[0]} is {unet[wanted[0]]!r}"
        return f"its U-Net wants more than one text encoder gives ({given}; SDXL is not handled); {_ADVICE}"
    taken, given = unet["in_channels"], vae["latent_channels"]
    if taken != given:
        kind = _BY_CHANNELS.get(taken, "inpainting, depth and upscaling")
        return f"its U-Net takes {taken} channels and its VAE gives {given} ({kind} models are not handled); {_ADVICE}"
    taken, given = unet["cross_attention_dim"], text_encoder["hidden_size"]
    if taken != given:
        what = f"its U-Net reads text of {taken} channels and its text encoder gives {given}"
        return f"{what}; the folder mixes two models; {_ADVICE}"
    blocks = {*unet["down_block_types"], *unet["up_block_types"], unet.get("mid_block_type") or CROSS_MID}
    strange = sorted(blocks - KNOWN_BLOCKS) or [
        key for key in ("dual_cross_attention", "only_cross_attention") if _is_set(unet.get(key))
    ]
    return f"its U-Net has {strange[0]}, which is not handled; {_ADVICE}" if strange else None


def refuse_scheduler(scheduler: Config) -> str | None:
    """Why a scheduler_config.json is no table of betas, or leaves it to a library's defaults.

    `prediction_type` alone may be left out: files of SD 1.x are without it, and it means epsilon.
    """
    kind, prediction = scheduler.get("_class_name", ""), scheduler.get("prediction_type", "epsilon")
    if "FlowMatch" in str(kind) or scheduler.get("use_flow_sigmas") or str(prediction).startswith("flow"):
        what = f"its scheduler is {kind or 'one'} of flow matching, its U-Net predicts {prediction!r}"
        return f"{what}; expected a noise schedule of betas; {_ADVICE}"
    if prediction not in PREDICTIONS:
        return f"its U-Net predicts {prediction!r}; expected {', '.join(PREDICTIONS)}; choose another model"
    fits = {
        "beta_start": (_is_share, "a number in (0, 1)"),
        "beta_end": (_is_share, "a number in (0, 1)"),
        "beta_schedule": (lambda value: value in _BETA_SCHEDULES, f"one of {', '.join(_BETA_SCHEDULES)}"),
        "num_train_timesteps": (lambda value: isinstance(value, int) and value > 0, "a whole number above 0"),
    }
    keys = tuple(fits) if scheduler.get("trained_betas") is None else ("num_train_timesteps",)
    if lack := _find_lack("scheduler", scheduler, *keys):
        return lack
    odd = next((key for key in keys if not fits[key][0](scheduler[key])), None)
    return f"its scheduler has {odd} {scheduler[odd]!r}; expected {fits[odd][1]}; {_ADVICE}" if odd else None


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value < 1


def _is_set(value: object) -> bool:
    return any(value) if isinstance(value, list) else bool(value)


def _class_of(index: Config, part: str) -> str | None:
    """The class of a part in model_index.json: `[library, class]`, or nulls where the pipeline goes without it."""
    entry = index.get(part)
    return entry[1] if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], str) else None


def _find_lack(part: str, config: Config, *keys: str) -> str | None:
    missing = [key for key in keys if config.get(key) is None]
    what = f"the configuration of its {part} has no {', no '.join(missing)}; expected all of {', '.join(keys)}"
    return f"{what}; fetch the file again or {_ADVICE}" if missing else None
