"""What the documents tell people to type works, and what they link to is there."""

import ast
import re
import shutil
import subprocess
from importlib.util import find_spec
from runpy import run_path

import pytest
from configured import CONF, configured, configured_finetuning
from documented import BATCH_SCRIPT, DOCUMENTS, OURS, ROOT, in_a_clone, typed_lines, words_of

import mae
from mae import convert
from mae.attention import AttentionConfig
from mae.cli.arguments import command_config
from mae.cli.overrides import check_overrides, share_groups
from mae.data.pack.__main__ import parse as parse_pack
from mae.data.scan.__main__ import parse as parse_scan
from mae.doctor.__main__ import composed_config
from mae.extract import ExtractConfig
from mae.masks import MasksConfig
from mae.monitoring.replay import parse as parse_replay
from mae.predict import PredictConfig
from mae.pretraining.config import typed_config
from mae.reconstruct import ReconstructConfig
from mae.report.__main__ import parse as parse_report

PARSERS = {
    "mae.convert": convert.parse,
    "mae.data.pack": parse_pack,
    "mae.data.scan": parse_scan,
    "mae.doctor": composed_config,
    "mae.monitoring.replay": parse_replay,
    "mae.report": parse_report,
}
ARGUMENTS = {
    "mae.attention": AttentionConfig,
    "mae.reconstruct": ReconstructConfig,
    "mae.masks": MasksConfig,
    "mae.predict": PredictConfig,
    "mae.extract": ExtractConfig,
}


def commands(*beginnings):
    """Every line to be typed that begins with one of these, without its comment."""
    for document, line in typed_lines():
        if line.startswith(beginnings):
            yield pytest.param(words_of(line), id=f"{document.parent.name}: {line}")


@pytest.mark.parametrize("words", list(commands(*OURS)))
def test_commands_are_accepted(words, monkeypatch, tmp_path):
    words = in_a_clone(words)
    if "--config-dir" in words:
        (tmp_path / "dataset").mkdir()
        shutil.copy(CONF / "dataset" / "csv.yaml", tmp_path / "dataset" / "mine.yaml")
        words[words.index("--config-dir") + 1] = str(tmp_path)
        assert words[1] == "pretrain.py"
        check_overrides(CONF, "pretrain", words[2:])
    elif "--multirun" in words:
        assert words[1] == "pretrain.py"
        check_overrides(CONF, "pretrain", words[2:], typed=typed_config)
    else:
        check_command(words, monkeypatch)


def check_command(words, monkeypatch):
    """Raises what a command would say of its arguments."""
    if words[1] == "pretrain.py":
        check_overrides(CONF, "pretrain", words[2:])
        configured(*words[2:])
    elif words[1] == "finetune.py":
        share_groups(CONF)
        check_overrides(CONF / "finetune", "finetune", words[2:], shared_dir=CONF)
        configured_finetuning(*words[2:])
    elif words[1].startswith(("benchmarks/", "datasets/")):
        monkeypatch.syspath_prepend((ROOT / words[1]).parent)  # as Python does for a script
        assert run_path(str(ROOT / words[1]))["parse"](words[2:])
    elif words[1:3] != ["-m", "venv"]:
        assert words[1] == "-m"
        assert find_spec(words[2])
        if words[2] in PARSERS:
            assert PARSERS[words[2]](words[3:])
            return
        command_config(ARGUMENTS[words[2]], [word.replace("some.gif", "/tmp/some.gif") for word in words[3:]])


def test_there_are_commands_to_test():
    assert len(list(commands("python "))) >= 8
    assert len(list(commands("docker "))) >= 2
    assert len(list(commands("sbatch "))) >= 2


@pytest.mark.parametrize("words", [case for case in commands("docker ") if case.values[0][1] == "run"])
def test_commands_in_containers_are_accepted(words, monkeypatch):
    image = next(position for position, word in enumerate(words) if word.startswith("mae-video:"))
    arguments = words[image + 1 :] or ["pretrain.py"]  # CMD of the Dockerfile
    check_command(["python", *arguments], monkeypatch)


def run_batch_script(folder, nodes, arguments, status=0):
    """What the script for Slurm has it start, and its own exit status, where the task ends with `status`."""
    for name, text in {
        ".venv/bin/activate": 'PATH="$PWD:$PATH"\n',
        "srun": f'#!/bin/bash\nprintf "%s\\n" "$@" > started\nexit {status}\n',
        "scontrol": '#!/bin/bash\necho "$@" > requeued\n',
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    environment = {"SLURM_JOB_NUM_NODES": str(nodes), "SLURM_CPUS_PER_TASK": "8", "SLURM_JOB_ID": "17"}
    environment["PATH"] = "/usr/bin:/bin"
    ended = subprocess.run(["bash", ROOT / BATCH_SCRIPT, *arguments], cwd=folder, env=environment)
    started = (folder / "started").read_text().splitlines()
    return started[started.index("python") :], ended.returncode


@pytest.mark.parametrize("words", list(commands("sbatch ")))
def test_jobs_are_accepted(words, monkeypatch, tmp_path):
    script = words.index(BATCH_SCRIPT)
    nodes = next((int(word.partition("=")[2]) for word in words[:script] if word.startswith("--nodes=")), 1)
    started, _ = run_batch_script(tmp_path, nodes, words[script + 1 :])
    added = [f"strategy={'auto' if nodes == 1 else 'multiworker'}", "data.workers=8", "on_usr1=end"]
    assert started == ["python", *words[script + 1 :], *added]
    check_command(started, monkeypatch)


@pytest.mark.parametrize(("status", "requeued"), [(138, ["requeue 17"]), (0, []), (3, [])])
def test_a_job_whose_time_is_up_is_queued_again(status, requeued, tmp_path):
    _, ended = run_batch_script(tmp_path, 1, ["pretrain.py"], status)
    assert ended == status
    assert [path.read_text().strip() for path in tmp_path.glob("requeued")] == requeued


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_every_directory_the_readme_names_is_there():
    named = set(
        re.findall(r"([a-z]+)/", (ROOT / "README.md").read_text().split("## Where things are")[1].split("```")[1])
    )
    assert all((ROOT / name).is_dir() or (ROOT / "mae" / name).is_dir() for name in named)


def test_every_dataset_has_its_page():
    for name in ("shapes", "ssv2", "kinetics400", "ucf101", "hmdb51"):
        assert (ROOT / "datasets" / name / "README.md").exists()
        assert (CONF / "dataset" / f"{name}.yaml").exists()
    motions = {path.stem for path in (CONF / "dataset").glob("motion_*.yaml")}
    assert motions == set(
        re.findall(r"^\| `(motion_\w+)` \|", (ROOT / "datasets/motion/README.md").read_text(), re.MULTILINE)
    )


def test_every_prepare_script_is_documented_beside_it():
    scripts = sorted((ROOT / "datasets").glob("*/prepare.py"))
    assert [script.parent.name for script in scripts] == ["hmdb51", "kinetics400", "ssv2", "ucf101"]
    for script in scripts:
        assert f"python datasets/{script.parent.name}/prepare.py " in (script.parent / "README.md").read_text()


def test_troubles_are_listed_at_the_top():
    text = (ROOT / "docs/troubleshooting.md").read_text()
    titles = re.findall(r"^##+ (.+)$", text, re.MULTILINE)
    assert titles == re.findall(r"^(?:- |\*\*)\[(.+)\]\(#", text, re.MULTILINE)
    assert len(titles) > 70


def test_what_the_titles_of_troubles_quote_is_said():
    titles = re.findall(r"^### (.+)$", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE)
    said = "\n".join(
        node.value
        for path in (ROOT / "mae").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    settings = "\n".join(path.read_text() for path in CONF.rglob("*.yaml"))
    quoted = {quote for title in titles for quote in re.findall("`([^`]+)`", title)}
    assert not {quote for quote in quoted if quote not in said and f"{quote}:" not in settings}


def test_the_reference_has_every_public_name():
    documented = re.findall(r"^::: (.+)$", (ROOT / "docs/reference.md").read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(f"{home}.{name}" for name, home in mae._HOMES.items())


def test_the_version_is_the_same_everywhere():
    assert f"\nversion: {mae.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {mae.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()
