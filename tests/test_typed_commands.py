"""Every command that the documents tell people to type is run: for two steps, on small stand-ins of what it needs.

Commands are called in this process, their models are presets made small, and nothing is compiled: what is asked is
whether a command works as it is typed, with the files of one before it. What trains and what is computed is tested
elsewhere.
"""

import importlib
import importlib.util
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from configured import CONF
from documented import OTHERS, OURS, ROOT, benchmark_headers, in_a_clone, plain_blocks, typed_lines, words_of
from patience import PATIENCE
from written_videos import noise_frames, write_video

from mae.cli.commands import COMMANDS, SCRIPTS, called_module
from mae.doctor.finding import Finding
from mae.presets import PRESETS

# What no test can run. What begins with a program of this project's own is here only where it installs one.
NOT_RUN = {
    "make ": "downloads packages; make itself is what CI runs",
    "pip ": "downloads packages; tests/test_wheel.py installs the wheel",
    "python -m venv ": "is followed by pip, in a shell that it changes",
    "cd ": "a shell's own",
    "docker ": "needs docker and downloads images",
    "sbatch ": "needs Slurm; tests/test_documents.py runs the script itself",
    "wandb ": "needs an account at a server",
}
# Blocks that are no commands, by their first lines: printed by a run, or lists of videos.
SHOWN = {
    "step   1/400  loss 1.3821",
    "  token grid       8 × 14 × 14",
    "pretrain.py finetune.py          conf/",
    "path,label",
    "path,label,start,end",
    "path,stride",
}
SMALL = {
    **{"image_size": 32, "num_frames": 4, "patch_size": 16, "embed_dim": 24, "depth": 1, "num_heads": 2},
    **{"mlp_ratio": 2.0, "decoder_embed_dim": 12, "decoder_depth": 1, "decoder_num_heads": 2},
}
SHORT = ("steps=2", "warmup_steps=0", "log_every=1", "data.workers=1", "wandb.mode=disabled", "report=false")
SHORT_TEST = ("test.clips=1", "test.crops=1")
SHORT_PROBE = (
    *("probe.linear_epochs=1", "probe.linear_steps=2", "probe.attentive_epochs=1", "probe.attentive_steps=2"),
    *("probe.labels_per_class=1", "probe.neighbours=1"),
)
FEW = ("dataset.videos_per_class=1", "dataset.val_videos_per_class=1")
CLASSES = ("one", "other")
RELEASED = {  # by name: what a file holds
    "TFVideoMAE_B_K400_16x224_PT.h5": "pretrainer",
    "TFVideoMAE_B_SSv2_16x224_PT.h5": "pretrainer",
    "TFVideoMAE_B_K400_16x224_FT.h5": "classifier",
    "TFVideoMAE_B_SSv2_16x224_FT.h5": "classifier",
}
ANNOTATIONS = {  # of the public data sets, two videos to train on and two to test on
    "ssv2/labels/something-something-v2-labels.json": '{"Moving something": "0", "Holding something": "1"}',
    "ssv2/labels/something-something-v2-train.json": json.dumps(
        [{"id": "1", "template": "Moving [something]"}, {"id": "2", "template": "Holding [something]"}]
    ),
    "ssv2/labels/something-something-v2-validation.json": json.dumps(
        [{"id": "3", "template": "Moving [something]"}, {"id": "4", "template": "Holding [something]"}]
    ),
    "kinetics400/annotations/train.csv": (
        "label,youtube_id,time_start,time_end,split\nyoga,aaaaaaaaaaa,0,10,train\nskiing,bbbbbbbbbbb,0,10,train\n"
    ),
    "kinetics400/annotations/validate.csv": (
        "label,youtube_id,time_start,time_end,split\nyoga,ccccccccccc,0,10,validate\nskiing,ddddddddddd,0,10,validate\n"
    ),
    "ucf101/ucfTrainTestlist/classInd.txt": "1 Archery\n2 Diving\n",
    "ucf101/ucfTrainTestlist/trainlist01.txt": "Archery/v_1.avi 1\nDiving/v_1.avi 2\n",
    "ucf101/ucfTrainTestlist/testlist01.txt": "Archery/v_2.avi\nDiving/v_2.avi\n",
    "ucf101/ucfTrainTestlist/trainlist02.txt": "Archery/v_2.avi 1\nDiving/v_2.avi 2\n",
    "ucf101/ucfTrainTestlist/testlist02.txt": "Archery/v_1.avi\nDiving/v_1.avi\n",
    "hmdb51/testTrainMulti_7030_splits/wave_test_split1.txt": "a.avi 1\nb.avi 2\n",
    "hmdb51/testTrainMulti_7030_splits/walk_test_split1.txt": "c.avi 1\nd.avi 2\n",
}
VIDEOS = (
    *(f"ssv2/{number}.webm" for number in (1, 2, 3, 4)),
    *(f"kinetics400/videos/{letter * 11}_000000_000010.mp4" for letter in "abcd"),
    *(f"ucf101/{name}/v_{number}.avi" for name in ("Archery", "Diving") for number in (1, 2)),
    *("hmdb51/wave/a.avi", "hmdb51/wave/b.avi", "hmdb51/walk/c.avi", "hmdb51/walk/d.avi"),
    *(f"my_videos/{name}/{number}.mp4" for name in CLASSES for number in range(6)),
    *("videos/a.mp4", "videos/b.mp4"),
    *(f"ultrasound/{name}/{number}.mp4" for name in CLASSES for number in range(2)),
)
ARRAYS = tuple(f"ct/{name}/{number}.npy" for name in CLASSES for number in range(2))  # of two channels
LABELS = ("walk;run", "run", "walk", "")  # of the videos of a list, in turn


def unique(lines):
    """Words and line of every command of this project, once."""
    return {
        tuple(in_a_clone(words_of(line))): line
        for line in lines
        if line.startswith(OURS) and not line.startswith(tuple(NOT_RUN))
    }


TYPED = unique(line for _, line in typed_lines())
MEASURING = {words: line for words, line in TYPED.items() if words[1].startswith("benchmarks/")}
MEASURING |= unique(benchmark_headers())
TOGETHER = {words: line for words, line in TYPED.items() if "strategy=multiworker" in words}
ALONE = {words: line for words, line in TYPED.items() if words not in MEASURING and words not in TOGETHER}


pytestmark = pytest.mark.commands


def cases(commands):
    return [pytest.param(list(words), id=line) for words, line in commands.items()]


@pytest.fixture(scope="module", autouse=True)
def small():
    """Every preset is a model of a few thousand parameters, and an operation is computed when it is called."""
    import tensorflow as tf

    with pytest.MonkeyPatch.context() as patch:
        for name, preset in PRESETS.items():
            patch.setitem(PRESETS, name, replace(preset, **SMALL))
        patch.setenv("KERAS_BACKEND", "tensorflow")
        tf.config.run_functions_eagerly(True)
        yield
        tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory, small):
    """A folder with all that the commands take as there: `data/`, `outputs/`, and in `files/` what lies beside them."""
    place = tmp_path_factory.mktemp("stand-ins")
    files, data = place / "files", place / "data"
    files.mkdir()
    for name, count in {"some.mp4": 70, "clip.mp4": 20, "long.mp4": 120}.items():
        Path(write_video(files / "video.avi", noise_frames(count, height=24, width=32))).rename(files / name)
    for name in VIDEOS:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(files / "clip.mp4", data / name)
    for name, text in ANNOTATIONS.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(text)
    for index, name in enumerate(ARRAYS):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(index).integers(-1000, 400, (20, 24, 32, 2))
        np.save(data / name, values.astype("int16"))
    write_lists(files, data)
    write_released(files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        for line in (
            *(line for _, line in typed_lines() if "/prepare.py " in line),
            "python pretrain.py",
            "python finetune.py init_from=outputs/shapes-vit_tiny",
            "python pretrain.py dataset=shapes_dark",
            "python pretrain.py dataset=motion_objects",
            "python pretrain.py dataset=csv dataset.train=files/train.csv",
            "python finetune.py task=regression dataset=csv dataset.train=files/train.csv dataset.holdout=0.2 "
            "'dataset.targets=[EF]' init_from=outputs/csv-vit_base",
        ):
            run_here(words_of(line), place, place, patch)
    for name in ("first", "second"):
        shutil.copytree(place / "outputs/shapes-vit_tiny", place / "outputs" / name)
    return place


def write_lists(files, data):
    listed = sorted(data.glob("my_videos/*/*.mp4"))
    (files / "my_list.csv").write_text("".join(f"{path},{CLASSES.index(path.parent.name)}\n" for path in listed))
    for name, videos in {"train": listed, "val": [data / "videos/a.mp4"], "test": [data / "videos/b.mp4"]}.items():
        rows = [f"{path},{LABELS[i % len(LABELS)]},{40 + i}.5\n" for i, path in enumerate(videos)]
        (files / f"{name}.csv").write_text("path,label,EF\n" + "".join(rows))
    (data / "mixed.csv").write_text("path,stride\n" + "".join(f"{path},2\n" for path in listed))
    (data / "conf/dataset").mkdir(parents=True)
    own = (CONF / "dataset/csv.yaml").read_text()
    own = re.sub(r"^  root: null", f"  root: {data}", own, flags=re.MULTILINE)
    own = re.sub(r"^  train: null", f"  train: {files / 'my_list.csv'}", own, flags=re.MULTILINE)
    (data / "conf/dataset/mine.yaml").write_text(own)


def write_released(files):
    from mae.checkpoints.save import save_checkpoint
    from mae.models.classifier import build_classifier
    from mae.models.pretrainer import build_pretrainer

    for name, kind in RELEASED.items():
        # As wide as they are here, and with the tokens of the released files.
        sizes = {"image_size": 224, "num_frames": 16} if "K400_16x224_FT" in name else {}
        if kind == "pretrainer":
            model = build_pretrainer("vit_base", **sizes)
        else:
            model = build_classifier("vit_base", num_classes=len(CLASSES), init_scale=1.0, **sizes)
        save_checkpoint(model, files / name, "keras_h5")


@pytest.fixture
def here(stand_ins, tmp_path, monkeypatch):
    """A working directory of the test's own, with the files that lie beside commands."""
    for path in (stand_ins / "files").iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(stand_ins / "cache"))
    return tmp_path


def run_here(words, stand_ins, here, monkeypatch):
    """Runs a command of this project, as typed in a clone, but for how long it takes and where its data lie."""
    places = {"data": stand_ins, "tmp": here}
    words = [re.sub(r"^([\w.]+=|)/(data|tmp)\b", lambda m: f"{m[1]}{places[m[2]]}/{m[2]}", word) for word in words[1:]]
    for name in {name for word in words for name in re.findall(r"^(?!run_dir=).*\boutputs/([\w-]+)$", word)}:
        if not (here / "outputs" / name).exists():
            shutil.copytree(stand_ins / "outputs" / name, here / "outputs" / name)
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "argv", list(words))
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        if words[0].startswith("datasets/"):
            sys.argv[0] = str(ROOT / words[0])
            with pytest.raises(SystemExit) as ended:
                runpy.run_path(sys.argv[0], run_name="__main__")
            assert not ended.value.code
        else:
            assert not main_of(words)(arguments_of(words))
    finally:
        signal.signal(signal.SIGINT, interrupt)


def main_of(words):
    """The `main` of the command, which its module and the installed programs call alike."""
    if words[0] in SCRIPTS.values():
        (name,) = (name for name, script in SCRIPTS.items() if script == words[0])
    else:
        assert words[0] == "-m"
        (name,) = (name for name in COMMANDS if called_module(name) == words[1])
    return importlib.import_module(COMMANDS[name]).main


def arguments_of(words):
    """What is typed behind the command; of trainings with what makes them short, in place of what was typed."""
    if words[0] == "-m":
        return words[2:]
    added = [*SHORT, f"batch_size={4 if 'recipe=v2' in words else 2}"]
    if words[0] == "finetune.py":
        added += SHORT_PROBE if "mode=probe" in words else SHORT_TEST
    dataset = next((word for word in words if word.startswith("dataset=")), "dataset=shapes")
    if dataset.startswith(("dataset=shapes", "dataset=motion_")):
        added += FEW
    keys = {setting.partition("=")[0] for setting in added}
    return [*(word for word in words[1:] if word.partition("=")[0] not in keys), *added]


@pytest.mark.parametrize("words", cases(ALONE))
def test_a_command_runs(words, stand_ins, here, monkeypatch):
    # In a process of its own: tests/doctor runs it.
    monkeypatch.setattr("mae.doctor.__main__.check_replicas", lambda backend: Finding("replicas", backend))
    monkeypatch.setattr("mae.doctor.speed._TOKENS", 64)  # of a step that is timed
    monkeypatch.setattr("mae.doctor.speed.PRESETS", {"vit_tiny": PRESETS["vit_tiny"]})  # all are as small here
    run_here(words, stand_ins, here, monkeypatch)
    elsewhere = words[2:3] in (["mae.predict"], ["mae.doctor"], ["mae.data.pack"]) or "describe=true" in words
    if not elsewhere and not words[1].startswith("datasets/"):
        assert [path for path in here.rglob("*") if not path.is_symlink()]


def test_all_that_is_typed_is_run_or_cannot_be():
    for document, lines in plain_blocks():
        typed = [line.startswith((*OURS, *OTHERS)) for line in lines]
        assert all(typed) or (not any(typed) and lines[0].startswith(tuple(SHOWN))), (document, lines)
    for _, line in typed_lines():
        is_run = line.startswith((*OURS, "TF_CONFIG=")) and not line.startswith(tuple(NOT_RUN))
        assert is_run or sum(line.startswith(beginning) for beginning in NOT_RUN) == 1, line
    every = [line for _, line in typed_lines()]
    assert all(any(line.startswith(beginning) for line in every) for beginning in NOT_RUN)


@pytest.mark.filterwarnings("ignore:Even though the `tf.config")  # of `fit`, to which `small` does not apply
@pytest.mark.parametrize("document", ["README.md", "MODEL_ZOO.md"])
def test_what_is_typed_in_python_runs(document, here, monkeypatch):
    monkeypatch.chdir(here)
    clips = np.random.default_rng(0).normal(size=(4, 16, 224, 224, 3)).astype("float32")
    made = {"mae": importlib.import_module("mae"), "videos": clips}
    for block in re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE):
        if "mae.pretrain(" not in block:  # tests/library/test_runs.py runs it
            exec(compile(block, document, "exec"), made)
    assert "model" in made


def benchmark(name, monkeypatch):
    """The module of a benchmark, whose processes are calls."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")  # as Python does for a script
    spec = importlib.util.spec_from_file_location(name, ROOT / f"benchmarks/{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def checkpoints(words, monkeypatch, _):
    module = benchmark("checkpoints", monkeypatch)
    monkeypatch.setattr(module, "in_process", lambda *arguments: json.loads(json.dumps(module.child(*arguments))))
    given = module.parse([*words, "--rounds", "1"])
    figures = module.main(given.model, given.formats, given.rounds)
    assert list(figures) == given.formats


def data(words, monkeypatch, stand_ins):
    module = benchmark("data", monkeypatch)
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)
    monkeypatch.setattr(module, "in_process", lambda cores, *arguments: module.child(cores, *arguments))
    monkeypatch.setattr(module, "VISITS", dict.fromkeys(module.VISITS, 1))
    monkeypatch.setattr(module, "PIPELINE", dict.fromkeys(module.PIPELINE, 1))
    given = module.parse([*words, "--rounds", "1", "--video", str(stand_ins / "files/some.mp4")])
    assert module.main(given.video, given.rounds)["clips"].keys() >= {"packed (ours)", "PyAV"}


def packed_shards(words, monkeypatch, _):
    module = benchmark("packed_shards", monkeypatch)
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)
    monkeypatch.setattr(module, "in_process", module.child)
    given = module.parse([*words, "--rounds", "1"])
    figures = module.main(given.rounds, {"few": (4, 33, 16, 24, 2, 2)})
    assert [figures["few"][kind]["files"] for kind in module.KINDS] == [4, 2, 2]


def train_step(words, monkeypatch, _):
    module = benchmark("train_step", monkeypatch)

    class Called:
        """A worker that is none of its own: its process would import an engine."""

        def __init__(self, name, words):
            self.name, self.times, self.ready_s = name, [], 1.0
            self._step, _, self._flops = module.our_step(module.parse(words))

        def step(self):
            assert self._step() > 0
            self.times.append(1.0)

        def finish(self):
            return {"peak": module.peak_resident(), "flops": self._flops, "rate": 1e9}

    monkeypatch.setattr(module, "Worker", Called)
    words = [*words, "--rounds", "1", "--clips", "4"]
    module.main(module.parse(words), words)


def representation(words, monkeypatch, _):
    module = benchmark("representation", monkeypatch)

    def executed(run):
        """Its own tests compose the runs."""
        run.place.mkdir(parents=True, exist_ok=True)
        figures = {"top1": 0.5, "probes": {kind: {"top1": 0.5} for kind in module.KINDS}}
        (run.place / run.result).parent.mkdir(exist_ok=True)
        (run.place / run.result).write_text(json.dumps(figures))
        run.place.with_name(f"{run.place.name}.json").write_text(json.dumps({"seconds": 1}))
        return 1.0

    monkeypatch.setattr(module, "execute", executed)
    module.main(module.parse(words))


def results(words, monkeypatch, _):
    assert benchmark("results", monkeypatch).main(is_check=True) == 0


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(case.values[0], id=case.id, marks=[pytest.mark.peer] * ("--peer" in case.values[0]))
        for case in cases(MEASURING)
    ],
)
def test_a_benchmark_runs(words, stand_ins, here, monkeypatch, capsys):
    monkeypatch.chdir(here)
    if "--peer" in words:  # PyTorch beside other engines: each needs a process of its own
        sizes = ("--rounds", "1", "--clips", "1", "--frames", "2", "--model", "vit_tiny")
        subprocess.run([sys.executable, ROOT / words[1], *words[2:], *sizes], check=True)
        return
    words = [word if word != "FILE" else str(here / "some.mp4") for word in words]
    runs = {run.__name__: run for run in (checkpoints, data, packed_shards, train_step, representation, results)}
    runs[Path(words[1]).stem](words[2:], monkeypatch, stand_ins)
    assert "nan" not in capsys.readouterr().out


def test_a_format_that_cannot_hold_the_model_is_left_out(monkeypatch, capsys):
    module = benchmark("checkpoints", monkeypatch)
    monkeypatch.setattr(module, "in_process", module.child)
    assert module.main("vit_tiny", ["huggingface"], 1) == {}
    assert "huggingface  left out: transformers' VideoMAE has positions=sincos only" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("words", cases(TOGETHER))
def test_two_machines_run_a_command(words, stand_ins, here):
    """Two processes of this machine, each told which it is as the document says."""
    from processes import addresses

    (setting,) = (line for _, line in typed_lines() if line.startswith("TF_CONFIG="))
    (told,) = words_of(setting)
    told = json.loads(told.removeprefix("TF_CONFIG="))
    told["cluster"]["worker"] = addresses(2)
    (coordinator,) = addresses(1)
    sizes = [f"model.{name}={value}" for name, value in SMALL.items()]
    common = [word for word in arguments_of(words[1:]) if not word.startswith(("dataset.root=", "process="))]
    common = [f"coordinator={coordinator}" if word.startswith("coordinator=") else word for word in common]
    common = [word.replace("run_dir=/shared", f"run_dir={here}") for word in common]
    started = []
    for index in range(2):
        own = [f"process={index}/2"] if "backend=jax" in words else []
        told["task"]["index"] = index
        environment = {key: value for key, value in os.environ.items() if key not in ("KERAS_BACKEND", "XLA_FLAGS")}
        environment |= {} if own else {"TF_CONFIG": json.dumps(told)}
        command = [sys.executable, str(ROOT / words[1]), *common, f"dataset.root={stand_ins}/data/ssv2", *own, *sizes]
        started.append(subprocess.Popen(command, env=environment, cwd=here))
    assert [process.wait(PATIENCE) for process in started] == [0, 0]
