"""Training of the miniature CLIP: pictures and captions of drawn objects, contrasted in a batch.

Several captions of a batch may fit one picture ("the circle" and "the red circle"): the target of a picture is even
over all captions that fit it, and the other way round. What fits is known by rule.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from safetensors.torch import save_file
from torch.nn import functional as F

from demo.captions import object_phrase
from demo.checkpoint import Checkpoint
from demo.corpus import Crop, CropRecord

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
KIND_WEIGHTS = {"whole": 1.0, "window": 0.6, "part": 0.45, "pair": 0.6, "ground": 0.4}
"""How often each kind of crop is drawn, relative to the others."""


@dataclass(frozen=True)
class ClipRecipe:
    """Everything that the training of the CLIP model depends on.

    Attributes:
        image_px: Side of the pictures.
        patch_px: Side of a patch.
        width: Width of the image tower.
        layers: Layers of the image tower.
        text_width: Width of the text tower.
        text_layers: Layers of the text tower.
        embed: Size of the embeddings.
        text_tokens: Tokens of a caption that are read in training; none of its captions is longer.
        steps: Steps.
        batch: Pairs in a step.
        rate: Greatest learning rate.
        seed: Seed of the weights and of every step's draws.
    """

    image_px: int = 64
    patch_px: int = 8
    width: int = 128
    layers: int = 4
    text_width: int = 64
    text_layers: int = 2
    embed: int = 64
    text_tokens: int = 24
    steps: int = 1500
    batch: int = 96
    rate: float = 1.5e-3
    seed: int = 0


@dataclass(frozen=True)
class Content:
    """What a picture shows or a caption says: None where it does not show or say.

    Attributes:
        kind: "object", "part", "pair" or "ground".
        shape: Shape noun.
        colour: Colour word.
        size: Size word.
        pair: Number of the item in the batch, for a pair, which fits its own caption alone.
    """

    kind: str
    shape: str | None = None
    colour: str | None = None
    size: str | None = None
    pair: int | None = None

    def fits(self, caption: "Content") -> bool:
        """Whether a caption's content is true of this picture as far as both tell."""
        if self.kind != caption.kind or self.pair != caption.pair:
            return False
        facts = ((self.shape, caption.shape), (self.colour, caption.colour), (self.size, caption.size))
        return all(shown is None or said is None or shown == said for shown, said in facts)


def model_config(recipe: ClipRecipe) -> dict[str, Any]:
    """The open_clip configuration of a recipe: `model_cfg` and `preprocess_cfg`."""
    return {
        "model_cfg": {
            "embed_dim": recipe.embed,
            "quick_gelu": True,
            "vision_cfg": {
                "image_size": recipe.image_px,
                "layers": recipe.layers,
                "width": recipe.width,
                "head_width": 32,
                "patch_size": recipe.patch_px,
            },
            "text_cfg": {
                "context_length": 77,
                "vocab_size": 49408,
                "width": recipe.text_width,
                "heads": 2,
                "layers": recipe.text_layers,
            },
        },
        "preprocess_cfg": {
            "mean": list(MEAN),
            "std": list(DEVIATION),
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }


def make_clip(recipe: ClipRecipe) -> CLIP:
    """A CLIP of the recipe's size, with seeded weights."""
    torch.manual_seed(recipe.seed)
    return CLIP(**model_config(recipe)["model_cfg"])


def train_clip(
    model: CLIP, records: list[CropRecord], recipe: ClipRecipe, checkpoint: Checkpoint
) -> Iterator[tuple[int, float]]:
    """Train on crops and captions; yields (step, loss).

    Args:
        model: Changed in place.
        records: The crops of the training scenes.
        recipe: The recipe.
        checkpoint: Where the state is kept; training goes on from what it holds.
    """
    tokenize = open_clip.get_tokenizer("ViT-B-16")
    entries = [(record, crop) for record in records for crop in record.crops]
    shares = np.array([KIND_WEIGHTS[crop.kind] for _, crop in entries])
    shares /= shares.sum()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.05, betas=(0.9, 0.98))
    for step in checkpoint.steps({"clip": model}, optimizer, recipe.steps):
        slope = 0.03 + 0.97 * 0.5 * (1 + float(np.cos(np.pi * step / recipe.steps)))
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * min(1.0, (step + 1) / 100) * slope
        rng = np.random.default_rng([recipe.seed, 3, step])
        chosen = [entries[int(index)] for index in rng.choice(len(entries), recipe.batch, p=shares)]
        pairs = [_caption(rng, record, crop, place) for place, (record, crop) in enumerate(chosen)]
        pictures = pixels([crop.picture for _, crop in chosen]) * float(rng.uniform(0.92, 1.08))
        tokens = tokenize([text for text, _, _ in pairs])[:, : recipe.text_tokens]
        images = F.normalize(model.encode_image(pictures), dim=-1)
        texts = F.normalize(encode_short_text(model, tokens), dim=-1)
        fits = torch.tensor([[float(shown.fits(said)) for _, _, said in pairs] for _, shown, _ in pairs])
        similarity = model.logit_scale.exp().clamp(max=60) * images @ texts.T
        loss = (_spread_entropy(similarity, fits) + _spread_entropy(similarity.T, fits.T)) / 2
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield step, loss.item()


def pixels(pictures: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    """Pictures, RGB uint8 side side 3, as CLIP reads them: float32, n 3 side side."""
    stack = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return (stack - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]


def encode_short_text(model: CLIP, tokens: torch.Tensor) -> torch.Tensor:
    """Text embeddings of token ids cut after the end token, n length: the causal text tower never looks past it."""
    tower: Any = model  # torch gives every part of a module the type Tensor | Module
    length = tokens.shape[1]
    states = tower.token_embedding(tokens) + tower.positional_embedding[:length]
    states = tower.ln_final(tower.transformer(states, attn_mask=tower.attn_mask[:length, :length]))
    return states[torch.arange(len(tokens)), tokens.argmax(-1)] @ tower.text_projection


def save_clip(folder: Path, model: CLIP, recipe: ClipRecipe) -> None:
    """Write `open_clip_config.json` and `open_clip_model.safetensors`, half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(model_config(recipe), indent=1) + "\n", encoding="utf-8")
    state = {name: value.half().contiguous() for name, value in model.state_dict().items() if name != "attn_mask"}
    save_file(state, folder / "open_clip_model.safetensors")


def recipe_dict(recipe: ClipRecipe) -> dict[str, Any]:
    """The recipe as plain values, for the log."""
    return asdict(recipe)


def _spread_entropy(similarity: torch.Tensor, fits: torch.Tensor) -> torch.Tensor:
    target = fits / fits.sum(1, keepdim=True).clamp(min=1)
    return -(target * similarity.log_softmax(1)).sum(1).mean()


def _caption(rng: np.random.Generator, record: CropRecord, crop: Crop, place: int) -> tuple[str, Content, Content]:
    """A caption of a crop, what the crop shows, and what the caption says."""
    if crop.kind in ("whole", "window"):
        item = record.objects[crop.objects[0]]
        # Only a window is at the photo's own scale, so only there is the size to be seen.
        shown = Content("object", item.shape, item.colour, item.size if crop.kind == "window" else None)
        if rng.random() < 0.15:
            return item.shape, shown, Content("object", item.shape)
        text = object_phrase(rng, record.objects, crop.objects[0])
        return text, shown, _said(text, item.shape, item.colour, item.size)
    if crop.kind == "part":
        item = record.objects[crop.objects[0]]
        texts = (
            f"part of a {item.colour} {item.shape}",
            f"a piece of the {item.colour} {item.shape}",
            f"half of a {item.shape}",
        )
        return (
            texts[int(rng.integers(len(texts)))],
            Content("part", item.shape, item.colour),
            Content("part", item.shape),
        )
    if crop.kind == "pair":
        first, second = (record.objects[index] for index in crop.objects)
        text = f"a {first.colour} {first.shape} and a {second.colour} {second.shape}"
        return text, Content("pair", pair=place), Content("pair", pair=place)
    texts = ("background", "the ground", f"{record.ground} background", "the background")
    return texts[int(rng.integers(len(texts)))], Content("ground"), Content("ground")


def _said(text: str, shape: str, colour: str, size: str) -> Content:
    """What a phrase says of its own object: its words up to the place or the neighbour that it names."""
    head = text
    for word in (" on ", " at ", " to ", " left ", " right ", " near ", " above ", " over ", " below ", " under ",
                 " next ", " beside "):  # fmt: skip
        head = head.split(word)[0]
    words = set(head.split())
    sized = words & {"small", "little", "tiny", "medium", "large", "big"}
    return Content(
        "object", shape if shape in words else None, colour if colour in words else None, size if sized else None
    )
