from collections import namedtuple

import mae.doctor.machine as machine
from mae.doctor.machine import available_memory, check_disk, check_machine, usable_cores


def cgroup(tmp_path, **files):
    for name, text in files.items():
        (tmp_path / name.replace("_", ".")).write_text(text)
    return tmp_path


def test_memory_is_what_the_container_leaves(tmp_path):
    proc = tmp_path / "meminfo"
    proc.write_text("MemTotal:       2000 kB\nMemAvailable:   1000 kB\n")
    assert available_memory(proc, tmp_path) == 1000 * 1024
    assert available_memory(proc, cgroup(tmp_path, memory_max="max\n")) == 1000 * 1024
    assert available_memory(proc, cgroup(tmp_path, memory_max="600000\n", memory_current="100000\n")) == 500000


def test_cores_are_what_the_container_leaves(tmp_path):
    everything = usable_cores(tmp_path / "nothing")
    assert everything >= 1
    assert usable_cores(cgroup(tmp_path, cpu_max="max 100000\n")) == everything
    assert usable_cores(cgroup(tmp_path, cpu_max="50000 100000\n")) == 0.5


def test_half_a_core_of_many_is_a_problem_with_a_number(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 4.0)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    threads = check_machine(tmp_path, {})[0]
    assert threads.text == "4 of 64 cores are this process'"
    assert threads.remedy.startswith("data.workers=4: ")


def test_one_thread_for_all_cores_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 8.0)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert check_machine(tmp_path, {})[0].remedy is None
    assert check_machine(tmp_path, {"OMP_NUM_THREADS": "1"})[0].remedy.startswith("unset OMP_NUM_THREADS: ")


def test_a_disk_without_room_and_a_place_that_is_a_file(tmp_path, monkeypatch):
    assert check_disk("run_dir", tmp_path / "not" / "yet").topic == "run_dir"
    (tmp_path / "file").write_text("")
    assert check_disk("run_dir", tmp_path / "file" / "run").is_fatal
    usage = namedtuple("usage", "total used free")(10**12, 10**12 - 10**9, 10**9)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    full = check_disk("run_dir", tmp_path)
    assert full.text.endswith(": 1.0 GB are free")
    assert full.remedy is not None


def test_wandb_is_told_as_a_run_would_find_it(tmp_path):
    environment = {"NETRC": str(tmp_path / "none")}
    assert "logs offline" in check_machine(tmp_path, environment)[-1].text
    assert "logs online" in check_machine(tmp_path, environment | {"WANDB_API_KEY": "k"})[-1].text
