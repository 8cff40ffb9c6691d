"""transformers and PyTorch open what this project writes, and compute the same; run where both are installed:

pip install torch transformers && pytest -m peer
"""

from pathlib import Path

import numpy as np
import pytest
from test_transformers import SIZES, fill, load

from mae.checkpoints.save import save_checkpoint
from mae.models.classifier import build_classifier
from mae.models.pretrainer import build_pretrainer

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("default")]  # their warnings are theirs
LABELS = dict(enumerate("abcde"))


def exported(name: str, folder: Path):
    """The golden model of `name`, written as a Hugging Face folder and as .pth; its arrays and its output."""
    arrays, weights, _ = load(f"{name}.npz")
    sizes = SIZES | {"head_norm_epsilon": 1e-5}  # theirs
    if name == "pretraining":
        model, inputs = build_pretrainer("vit_tiny", **sizes), (arrays["videos"], arrays["is_masked"])
    else:
        pooling = "first" if name.endswith("first") else "mean"
        model, inputs = build_classifier("vit_tiny", num_classes=5, pooling=pooling, **sizes), (arrays["videos"],)
    fill(model, weights)
    save_checkpoint(model, folder / "folder", "huggingface", None if name == "pretraining" else LABELS)
    save_checkpoint(model, folder / "weights.pth", "pytorch")
    return arrays, np.asarray(model(*inputs))


@pytest.mark.parametrize("name", ["pretraining", "classification", "classification_first"])
def test_transformers_opens_our_folder_and_pytorch_our_file(name, tmp_path):
    import torch
    import transformers

    arrays, ours = exported(name, tmp_path)
    pretrains = name == "pretraining"
    theirs = transformers.VideoMAEForPreTraining if pretrains else transformers.VideoMAEForVideoClassification
    model, info = theirs.from_pretrained(tmp_path / "folder", output_loading_info=True, attn_implementation="eager")
    assert not any(info.values()), info
    arguments = {"bool_masked_pos": torch.from_numpy(arrays["is_masked"])} if pretrains else {}
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(arrays["videos"]).permute(0, 1, 4, 2, 3), **arguments).logits.numpy()
    np.testing.assert_allclose(logits, ours, atol=1e-5)
    np.testing.assert_allclose(logits, arrays["logits"], atol=1e-5)
    if not pretrains:
        assert model.config.id2label == LABELS
    state = torch.load(tmp_path / "weights.pth", weights_only=True)["model" if pretrains else "module"]
    assert all(isinstance(tensor, torch.Tensor) for tensor in state.values())
    assert ("mask_token" in state) == pretrains
