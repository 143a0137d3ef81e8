"""Stage parse_text: head word, token spans and direction of every sentence of a split."""

from collections import Counter

from refdiff.checking.start import start_stage
from refdiff.command import run_command
from refdiff.dataset.tables import read_dataset
from refdiff.layout import SplitLayout
from refdiff.progress import track
from refdiff.provenance import describe_run
from refdiff.text.settings import read_parser_settings
from refdiff.text.tables import write_text


def main() -> None:
    arguments, params = start_stage("parse_text", __doc__, ("splits",))
    split: str = arguments.split
    settings = read_parser_settings(params)
    layout = SplitLayout(split)
    expressions = read_dataset(layout.dataset).expressions
    from refdiff.text.parser import (
        Parser,
    )  # spaCy and open_clip import torch: seconds, after what is refused at once

    parser = Parser(settings)
    names = [f"{split}: expression {identifier}" for identifier in expressions.expression_id]
    rows = list(
        track(
            parser.parse_all(expressions.sentence, names),
            f"parse_text {split}",
            len(names),
            "sentences",
        )
    )
    provenance = describe_run(
        "parse_text",
        settings.model_dump(mode="json"),
        {"expressions": layout.dataset / "expressions.parquet"},
    )
    write_text(layout.text, rows, {**provenance, "models": parser.identity})
    replaced = Counter(row.root_fallback for row in rows)
    print(
        f"{layout.text}: {len(rows)} sentences, {len(rows) - replaced['']} roots replaced, "
        f"{sum(row.direction != 'none' for row in rows)} with a direction, "
        f"{sum(row.truncated for row in rows)} truncated; parsed by {parser.identity['spacy']['package']}"
    )


if __name__ == "__main__":
    run_command(main)
