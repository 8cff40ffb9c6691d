"""What the ending of a file name says about it; about others only the file itself does."""

import os

PACKED_EXTENSION = ".zip"  # one video, a picture per frame
ARRAY_EXTENSIONS = (".npy", ".npz", ".tif", ".tiff", ".dcm")  # features, labels or masks as often as videos
VIDEO_EXTENSIONS = (
    *(".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg", ".mpeg"),
    *(".m4v", ".ts", ".mts", ".m2ts", ".3gp", ".3g2", ".wmv", ".asf", ".flv", ".f4v", ".ogv"),
    *(".vob", ".mxf", ".dv", ".divx", ".gif", ".mjpeg", ".mjpg", ".h264", ".264", ".hevc", ".h265", ".265", ".y4m"),
    PACKED_EXTENSION,
    *ARRAY_EXTENSIONS,
)
# Of what lies beside videos: looking into each of a million would take hours, and FFmpeg draws some texts as pictures.
OTHER_EXTENSIONS = (
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".log", ".html", ".pdf", ".nfo"),
    *(".srt", ".vtt", ".ass", ".sub", ".heic", ".svg", ".ico", ".psd", ".exr", ".tga", ".ppm", ".pgm"),
    *(".mp3", ".wav", ".flac", ".aac", ".m4a", ".wma", ".opus"),
    *(".pkl", ".pt", ".pth", ".h5", ".hdf5", ".mat", ".parquet", ".flo", ".ckpt", ".safetensors"),
    *(".py", ".sh", ".ipynb", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".md5", ".sha256", ".part"),
)

_VIDEOS, _ARRAYS, _OTHERS = map(frozenset, (VIDEO_EXTENSIONS, ARRAY_EXTENSIONS, OTHER_EXTENSIONS))


def ending(name: str) -> str:
    """The extension of a file name in small letters, with its dot; "" where there is none."""
    return os.path.splitext(name)[1].lower()


def is_video_name(name: str) -> bool:
    """Whether the ending is one of a video, a packed video or an array."""
    return ending(name) in _VIDEOS


def is_array_name(name: str) -> bool:
    """Whether the ending is one of an array, which is a video where it is listed as one."""
    return ending(name) in _ARRAYS


def is_other_name(name: str) -> bool:
    """Whether the ending is one of something that is no video; pictures are `mae.data.videos.frame_series`'s."""
    return ending(name) in _OTHERS


def without_extension(name: str) -> str:
    """The name of a video file without its extension; that of a directory of frames as it is."""
    return os.path.splitext(name)[0] if is_video_name(name) else name
