import pytest
from numbered_frames import numbered_frames
from written_videos import write_video

from mae.data.lists.given import given_videos
from mae.errors import ConfigError


def test_a_file_a_folder_or_a_list(tmp_path):
    a, b = (write_video(tmp_path / name, numbered_frames(4)) for name in ("x/a.avi", "y/b.avi"))
    assert given_videos(a).names == ("a.avi",)
    assert given_videos(str(tmp_path)).names == ("x/a.avi", "y/b.avi")
    (tmp_path / "list.csv").write_text(f"y/b.avi 1\n{a} 0\n")
    given = given_videos(str(tmp_path / "list.csv"))
    assert given.paths == (b, a)
    assert given.names == ("y/b.avi", "x/a.avi")
    assert given_videos(str(tmp_path / "missing.mp4")).names == ("missing.mp4",)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no video"):
        given_videos(str(tmp_path / "empty"))
