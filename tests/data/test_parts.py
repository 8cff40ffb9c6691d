import pytest

from mae.cli.shared_work import Shard
from mae.data.parts import Parts
from mae.errors import ConfigError


def test_findings_of_all_parts_are_known_to_the_next(tmp_path):
    output = tmp_path / "o.csv"
    for number in (1, 2):
        parts = Parts(output, {"top": 5}, Shard(number, 2))
        parts.put(f"v{number}", [number, ("a", None)])
        parts.put("ü", number)
        parts.close()
    whole = Parts(output, {"top": 5}, None)
    assert whole.known == {"v1": [1, ["a", None]], "v2": [2, ["a", None]], "ü": 2}
    whole.put("v3", 3)
    assert Parts(output, {"top": 5}, None).known["v3"] == 3
    whole.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cut", [1, 5, 9, 14, 20])
def test_a_line_that_a_kill_cut_is_one_video_less(tmp_path, cut):
    parts = Parts(tmp_path / "o", {"a": 1}, None)
    parts.put("v", 1)
    parts.close()
    path = tmp_path / "o.parts" / "all.jsonl"
    path.write_bytes(path.read_bytes()[:cut])
    again = Parts(tmp_path / "o", {"a": 1}, None)
    assert again.known == ({"v": 1} if cut == 20 else {})
    again.put("w", 2)
    again.close()
    assert Parts(tmp_path / "o", {"a": 1}, None).known == again.known | {"w": 2}


def test_two_processes_do_not_write_one_part_and_settings_do_not_mix(tmp_path):
    one = Parts(tmp_path / "o", {"a": 1}, Shard(1, 2))
    one.put("v", 1)
    with pytest.raises(ConfigError, match=r"another process is writing .*1-of-2\.jsonl: wait until it is done"):
        Parts(tmp_path / "o", {"a": 1}, Shard(1, 2)).put("w", 1)
    one.close()
    with pytest.raises(ConfigError, match=r"1-of-2\.jsonl was made with other settings \(a 1 → 2\): type those again"):
        Parts(tmp_path / "o", {"a": 2}, Shard(2, 2))
    (tmp_path / "full.parts").write_text("no folder")
    with pytest.raises(ConfigError, match=r"full\.parts/all\.jsonl cannot be written"):
        Parts(tmp_path / "full", {}, None).put("v", 1)
