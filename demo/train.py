"""`python -m demo.train`: train the demo's two miniature models from nothing.

Resumable: run it again after an interruption. Deterministic: the same seed, library versions and number of threads
give the same weights. On two CPU cores it takes about two hours; the result is part of the repository.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from demo.checkpoint import Checkpoint
from demo.corpus import crop_drawer, load_or_draw, scene_drawer
from demo.refer_form import VALIDATION_SEEDS
from demo.train_clip import ClipRecipe, make_clip, save_clip, train_clip
from demo.train_sd import (
    DiffusionRecipe,
    encode_corpus,
    make_text_encoder,
    make_unet,
    make_vae,
    save_pipeline,
    train_unet,
    train_vae,
)
from refdiff.command import run_command
from refdiff.demo.models import MODELS

CROPPED = range(VALIDATION_SEEDS.stop + 100_000, VALIDATION_SEEDS.stop + 103_500)
"""Seeds of the scenes whose crops CLIP learns from."""


def train_diffusion(out: Path, work: Path, recipe: DiffusionRecipe, workers: int) -> None:
    """Train the Stable Diffusion of a recipe and write it to `out`.

    Args:
        out: Folder of the pipeline.
        work: Folder of corpora, checkpoints and logs.
        recipe: The recipe.
        workers: Processes that draw scenes.
    """
    from transformers import CLIPTokenizer

    from demo.tokenizer import write_tokenizer

    drawn = [
        load_or_draw(work / f"scenes-{number}.pkl", scene_drawer(recipe.canvas_px), cycle.scenes, workers)
        for number, cycle in enumerate(recipe.cycles, 1)
    ]
    canvases = np.stack([record.canvas for record in drawn[0]])
    vae = make_vae(recipe)
    _follow("vae", train_vae(vae, canvases, recipe, Checkpoint(work / "vae.pt")), work / "vae.jsonl")
    vae.eval().requires_grad_(False)
    corpora = [encode_corpus(vae, records) for records in drawn]
    scale = 1.0 / float(corpora[0].means.std())
    write_tokenizer(work / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    unet, text_encoder = make_unet(recipe), make_text_encoder(recipe, tokenizer)
    steps = train_unet(unet, text_encoder, tokenizer, corpora, scale, recipe, Checkpoint(work / "unet.pt"))
    _follow("unet", steps, work / "unet.jsonl")
    vae.register_to_config(scaling_factor=scale)
    # Only now: a tokenizer beside weights that were trained with another one would give them other words.
    write_tokenizer(out / "tokenizer")
    save_pipeline(out, vae, unet, text_encoder, tokenizer)


def train_contrastive(out: Path, work: Path, recipe: ClipRecipe, scenes: range, workers: int) -> None:
    """Train the CLIP of a recipe on crops of the scenes of some seeds and write it to `out`."""
    records = load_or_draw(work / "crops.pkl", crop_drawer(recipe.image_px), scenes, workers)
    model = make_clip(recipe)
    _follow("clip", train_clip(model, records, recipe, Checkpoint(work / "clip.pt")), work / "clip.jsonl")
    save_clip(out, model, recipe)


def _follow(name: str, steps: Iterator[tuple[int, float]], log: Path) -> None:
    """Run a training to its end; the mean loss of every 25 steps goes to the log and to the screen."""
    log.parent.mkdir(parents=True, exist_ok=True)
    losses: list[float] = []
    started = time.monotonic()
    for step, loss in steps:
        losses.append(loss)
        if (step + 1) % 25 == 0:
            mean = float(np.mean(losses))
            losses.clear()
            print(f"{name} step {step + 1}: loss {mean:.4f}, {time.monotonic() - started:.0f} s", flush=True)
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"model": name, "step": step + 1, "loss": round(mean, 5)}) + "\n")


def publish_log(work: Path, out: Path) -> None:
    """Put the logs of all trainings together as `training.jsonl`, with a picture of the loss curves beside it.

    A step that was logged twice, because the training was interrupted after it, counts once.
    """
    from demo.loss_curve import draw_loss_curves

    rows: dict[tuple[str, int], float] = {}
    for name in ("vae", "unet", "clip"):
        log = work / f"{name}.jsonl"
        if log.is_file():
            for line in log.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                rows[row["model"], row["step"]] = row["loss"]
    lines = [json.dumps({"model": name, "step": step, "loss": loss}) for (name, step), loss in rows.items()]
    (out / "training.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (out / "training.svg").write_text(draw_loss_curves(rows), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.train", description=__doc__)
    parser.add_argument("--only", choices=["sd", "clip"], help="train one of the two")
    parser.add_argument("--out", type=Path, default=MODELS, help="folder of the models (default: the package's own)")
    parser.add_argument("--work", type=Path, default=Path(".work/demo"), help="corpora, checkpoints, logs")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw scenes")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.only != "clip":
        train_diffusion(arguments.out / "sd", arguments.work, DiffusionRecipe(), arguments.workers)
    if arguments.only != "sd":
        train_contrastive(arguments.out / "clip", arguments.work, ClipRecipe(), CROPPED, arguments.workers)
    publish_log(arguments.work, arguments.out)


if __name__ == "__main__":
    run_command(main)
