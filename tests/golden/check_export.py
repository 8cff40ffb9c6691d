"""Whether transformers and PyTorch open what this project writes. By hand: no environment has both libraries.

    python tests/golden/check_export.py write DIR    where this project is installed
    python tests/golden/check_export.py check DIR    where PyTorch and transformers are

The models are the golden ones: `write` exports them as Hugging Face folders and .pth files, and records what they
compute; `check` compares.
"""

import sys
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent
FILES = {"pretraining": "pretrainer", "classification": "classifier", "classification_first": "classifier"}


def write(folder: Path) -> None:
    sys.path.insert(0, str(GOLDEN.parents[1]))
    from test_transformers import SIZES, load

    from mae.checkpoints.save import save_checkpoint
    from mae.models.classifier import build_classifier
    from mae.models.pretrainer import build_pretrainer

    for name, kind in FILES.items():
        arrays, weights, _ = load(f"{name}.npz")
        if kind == "pretrainer":
            model = build_pretrainer("vit_tiny", **SIZES)
            model.decoder.norm.epsilon = 1e-5
            inputs = (arrays["videos"], arrays["is_masked"])
        else:
            pooling = "first" if name.endswith("first") else "mean"
            model = build_classifier("vit_tiny", num_classes=5, pooling=pooling, **SIZES)
            if model.fc_norm:
                model.fc_norm.epsilon = 1e-5
            inputs = (arrays["videos"],)
        for variable in model.trainable_variables:
            variable.assign(weights[variable.path.split("/", 1)[1]])
        save_checkpoint(model, folder / name, "huggingface", dict(enumerate("abcde")) if kind == "classifier" else None)
        save_checkpoint(model, folder / f"{name}.pth", "pytorch")
        np.save(folder / f"{name}.npy", np.asarray(model(*inputs)))


def check(folder: Path) -> None:
    import torch
    import transformers

    for name, kind in FILES.items():
        pretrains = kind == "pretrainer"
        class_name = "VideoMAEForPreTraining" if pretrains else "VideoMAEForVideoClassification"
        model_class = getattr(transformers, class_name)
        model, info = model_class.from_pretrained(folder / name, output_loading_info=True, attn_implementation="eager")
        problems = {key: value for key, value in info.items() if value}
        with np.load(GOLDEN / f"{name}.npz") as arrays:
            videos = torch.from_numpy(arrays["videos"]).permute(0, 1, 4, 2, 3)
            arguments = {"bool_masked_pos": torch.from_numpy(arrays["is_masked"])} if pretrains else {}
            golden = arrays["logits"]
        with torch.no_grad():
            logits = model.eval()(videos, **arguments).logits.numpy()
        ours = np.load(folder / f"{name}.npy")
        state = torch.load(folder / f"{name}.pth", weights_only=True)["model" if pretrains else "module"]
        print(f"{class_name} from {name}: loading problems {problems or 'none'}")
        print(f"  largest difference to ours {np.abs(logits - ours).max():.1e}", end=", ")
        print(f"to the golden outputs {np.abs(logits - golden).max():.1e}")
        print(f"  labels {list(model.config.id2label.values())}; .pth {len(state)} tensors, as {min(state)}")


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](Path(sys.argv[2]))
