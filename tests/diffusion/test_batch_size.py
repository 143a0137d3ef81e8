"""The batch: told, found, halved."""

import pytest
import torch

from refdiff.diffusion.batch_size import BatchSize, sentences_that_fit
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.errors import ModelError
from tests.diffusion.rows import PAPER, make_capture, make_photo, make_section

CPU = torch.device("cpu")
SENTENCES = ["the cat", "spoon", "left eye", "cup of coffee", "dog"]


@pytest.mark.parametrize(("latent_px", "sentences"), [(8, 64), (32, 16), (64, 4), (128, 1), (512, 1)])
def test_on_a_cpu_it_is_a_matter_of_the_latent_alone(latent_px: int, sentences: int):
    assert BatchSize("auto", latent_px, CPU).sentences == sentences


def test_a_number_is_a_number():
    assert BatchSize(5, 128, CPU).sentences == 5


@pytest.mark.parametrize(
    ("used", "sentences", "free", "expected"),
    [(2_000, 2, 10_000, 7), (2_000, 2, 10**9, 16), (2_000, 2, 500, 1), (0, 2, 100, 16), (3_000, 1, 10_000, 2)],
)
def test_what_fits_by_a_smaller_pass(used: int, sentences: int, free: int, expected: int):
    assert sentences_that_fit(used, sentences, free, most=16) == expected


def run_short_of_memory(extractor: AttentionExtractor, rows: int) -> list[int]:
    """Make a U-Net that takes so many rows and no more; the rows that it was given."""
    seen: list[int] = []

    def refuse(_module: torch.nn.Module, args: tuple) -> None:
        seen.append(len(args[0]))
        if len(args[0]) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    extractor.model.unet.register_forward_pre_hook(refuse)
    return seen


def test_half_the_batch_goes_on_after_memory_ran_out(extractor: AttentionExtractor):
    expected = extractor.capture(make_photo(0, 20, 20), "a", SENTENCES, make_capture(PAPER))
    short = AttentionExtractor(make_section(batch_sentences="auto"))
    seen = run_short_of_memory(short, rows=2)
    got = short.capture(make_photo(0, 20, 20), "a", SENTENCES, make_capture(PAPER))
    assert seen == [5, 2, 2, 1]
    for mine, other in zip(got, expected, strict=True):
        torch.testing.assert_close(mine.maps[8, 8], other.maps[8, 8], atol=1e-6, rtol=0)
    assert short.batch_size(make_capture(PAPER)) == 2


@pytest.mark.parametrize(("batch", "sentences"), [("auto", 1), (4, 4)])
def test_memory_for_less_than_one_sentence_or_than_was_told(batch, sentences: int):
    short = AttentionExtractor(make_section(batch_sentences=batch))
    run_short_of_memory(short, rows=0)
    message = f"batch_sentences: .*too small for {sentences} sentences.*use auto or a smaller"
    with pytest.raises(ModelError, match=message):
        short.capture(make_photo(0, 20, 20), "a", SENTENCES, make_capture(PAPER))
