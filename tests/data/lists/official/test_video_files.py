from list_files import message_of, touch

from mae.data.lists.official.annotations import AnnotatedVideo
from mae.data.lists.official.video_files import VideoFiles, class_and_name, file_name


def test_keys():
    assert file_name("a/b/78687.webm") == file_name("78687.zip") == file_name("frames/78687") == "78687"
    assert class_and_name("UCF-101/Run/v_g1.avi") == class_and_name("Run/v_g1.mp4") == ("Run", "v_g1")
    assert class_and_name("v_g1.avi") == ("", "v_g1")


def test_files_are_found_in_any_form(tmp_path):
    touch(tmp_path, "train/1.webm", "2.zip", "frames/3/1.jpg", "3.txt")
    files = VideoFiles(tmp_path, file_name)
    assert files.count == 3
    videos = [AnnotatedVideo(name, (name,), None) for name in "3142"]
    assert files.find(videos) == ["frames/3", "train/1.webm", None, "2.zip"]
    assert files.find([AnnotatedVideo("x", ("9", "2"), None)]) == ["2.zip"]


def test_two_files_of_a_video_are_refused(tmp_path):
    touch(tmp_path, "a/1.webm", "b/1.mp4", "a/2.webm", "b/2.mp4", "3.mp4")
    files = VideoFiles(tmp_path, file_name)
    assert files.find([AnnotatedVideo("3", ("3",), None)]) == ["3.mp4"]
    message = message_of(files.find, [AnnotatedVideo(name, (name,), None) for name in "123"])
    assert f"2 videos have several files below videos={tmp_path}, the first: a/1.webm and b/1.mp4;" in message


def test_no_directory(tmp_path):
    assert f"videos={tmp_path}/no is not a directory" in message_of(VideoFiles, tmp_path / "no", file_name)
