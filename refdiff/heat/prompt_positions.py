"""The prompt positions that a readout averages, for every expression of a split."""

from refdiff.heat.readout import ReadoutSettings, head_rule, token_positions
from refdiff.text.tables import TextTable


def prompt_positions(readout: ReadoutSettings, text: TextTable) -> list[tuple[int, ...]]:
    """Positions of every expression, in order; start token = 0.

    Raises:
        StoreMismatchError: A head word's span does not lie inside its sentence.
    """
    head = text.head(head_rule(readout))
    spans = zip(head.unet_first.tolist(), head.unet_last.tolist(), text.unet_tokens.tolist(), strict=True)
    return [token_positions(readout, first, last, tokens) for first, last, tokens in spans]
