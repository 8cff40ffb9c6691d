"""The model card of an export: a `README.md` as Hugging Face shows it, of what is known and nothing else."""

import json
from typing import Any

from mae.checkpoints.metadata import PRETRAINED, Metadata

_SHOWN_CLASSES = 1000
_KINDS = {
    "pretrainer": "A video masked autoencoder, encoder and decoder, pre-trained without labels.",
    "classifier": "A video classifier: the encoder of a video masked autoencoder with a trained head.",
    "encoder": "The encoder of a video masked autoencoder.",
}


def model_card(kind: str, metadata: Metadata, takes: str, use: str) -> str:
    """Markdown.

    Args:
        kind: `pretrainer`, `classifier` or `encoder`.
        metadata: what the files beside the card say as well.
        takes: what is put in, a sentence.
        use: Python that uses the export.
    """
    head = [f"license: {json.dumps(metadata.training.licence)}"] if metadata.training.licence else []
    head += ["library_name: keras", "tags:", "- video", "- video-classification", "- videomae"]
    licence = metadata.training.licence or "not told; that of what they were trained from holds"
    parts = [
        "\n".join(["---", *head, "---", "", "# Model card", "", _KINDS[kind], ""]),
        f"**Licence of the weights:** {licence}\n",
        f"**Takes:** {takes}\n",
        "## Use\n\n```python\n" + use.strip() + "\n```\n",
        "## Sizes and clips\n\n" + _table(_facts(kind, metadata)),
    ]
    if metadata.id2label:
        parts.append("## Classes\n\n" + _table(list(metadata.id2label.items())[:_SHOWN_CLASSES]))
    return "\n".join(parts)


def _facts(kind: str, metadata: Metadata) -> list[tuple[str, Any]]:
    a, mean_and_std = metadata.architecture, metadata.architecture.statistics
    parts = ("embed_dim", "depth", "num_heads", "patch_size", "tubelet_size", "positions")
    decoder = ("decoder_embed_dim", "decoder_depth", "decoder_num_heads") if kind == "pretrainer" else ()
    told = {
        name: value
        for name, value in metadata.training.told.items()
        if name != "licence" and (kind == "pretrainer" or name not in PRETRAINED)
    }
    height, width = a.picture_size
    return [
        ("clip", f"{a.num_frames} frames of {height} × {width} pixels, {a.in_channels} channels"),
        ("mean, standard deviation", ", ".join(str(list(values)) for values in mean_and_std)),
        *((name, getattr(a, name)) for name in (*parts, *decoder)),
        *told.items(),
    ]


def _table(rows: list[tuple[Any, Any]]) -> str:
    lines = ["| | |", "|---|---|", *(f"| {_cell(name)} | {_cell(value)} |" for name, value in rows)]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    """On one line, and without what would end a cell."""
    return " ".join(str(value).split()).replace("|", "\\|")
