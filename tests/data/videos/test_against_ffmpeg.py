"""Kinds of files that the world holds: every frame is the one that `ffmpeg` shows.

Each sample is made by commands of `ffmpeg` from its test pattern, and by cutting and joining what they wrote.
"""

import random
import struct

import numpy as np
import pytest
from ffmpeg_program import ffmpeg, frames_by_ffmpeg

from mae import read_video
from mae.data.scan.examine import examine
from mae.errors import BadVideo

pytestmark = pytest.mark.files

MOST = 2  # grey levels by which a frame may differ on average
MOST_INTERLACED = 8  # as chroma may be spread over the lines of a frame or of each of its fields

PATTERN = "-f lavfi -i testsrc2=size=96x64:rate=25:duration=1"
FIELDS = "-f lavfi -i testsrc2=size=96x64:rate=50:duration=1 -vf tinterlace=interleave_top -flags +ildct+ilme"
H264 = "-c:v libx264 -preset veryfast -g 8 -pix_fmt yuv420p"
HEVC = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=8"
VP9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8"
MPEG2 = "-c:v mpeg2video -q:v 3 -g 8 -bf 2"
RAW = "-c:v rawvideo -pix_fmt"
UNEVEN = "-vf settb=1/90000,setpts='(N+0.7*mod(N*7,5)/5)/25/TB' -fps_mode passthrough -enc_time_base 1/90000"
STATED = [  # matrices as the scaler and as the file calls them
    *(("bt709", "bt709"), ("bt601", "smpte170m"), ("bt601", "bt470bg")),
    *(("smpte240m", "smpte240m"), ("fcc", "fcc"), ("bt2020", "bt2020nc")),
]
OF_H264 = ("yuv420p10le", "yuv422p", "yuv422p10le", "yuv444p", "yuv444p10le", "yuvj444p", "gray", "gray10le")
OF_FFV1 = ("yuv410p", "yuv411p", "yuv440p", "yuv420p16le", "gray16le", "ya8", "yuva420p", "bgra", "rgb48le")
NOT_CODED = ("nv12", "uyvy422", "monow", "pal8", "rgb24")
COVER = f"{PATTERN} -frames:v 1 cover.png"


def encoded(name, how, source=PATTERN):
    return [f"{source} {how} {name}"]


def cut(source, name, part):
    """A step that keeps the first part of a file."""

    def step(folder):
        content = (folder / source).read_bytes()
        (folder / name).write_bytes(content[: int(part * len(content))])

    return step


def headless(source, name, part):
    """A step that leaves the first part of a file out."""

    def step(folder):
        content = (folder / source).read_bytes()
        (folder / name).write_bytes(content[int(part * len(content)) :])

    return step


def joined(sources, name):
    """A step that puts files one after the other."""
    return lambda folder: (folder / name).write_bytes(b"".join((folder / source).read_bytes() for source in sources))


def with_matrix(source, name, *values):
    """A step that writes a display matrix, a b c d, into the track header of an MP4."""

    def step(folder):
        content = bytearray((folder / source).read_bytes())
        a, b, c, d = (round(65536 * value) for value in values)
        at = content.index(b"tkhd") + 44
        content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        (folder / name).write_bytes(content)

    return step


def scratched(source, name):
    """A step that changes some bytes between the second and the fourth fifth of a file."""

    def step(folder):
        content, rng = bytearray((folder / source).read_bytes()), random.Random(0)
        for _ in range(6):
            content[rng.randrange(len(content) * 2 // 5, len(content) * 4 // 5)] = rng.randrange(256)
        (folder / name).write_bytes(content)

    return step


def colored(name, matrix, stated, levels, pixels="yuv420p", curve="bt709"):
    """A file that states its matrix, range and transfer curve, of which the first two are what it was converted to."""
    convert = f"-vf scale=out_color_matrix={matrix}:out_range={levels},setparams=color_trc={curve}"
    state = f"-colorspace {stated} -color_range {levels} -color_trc {curve}"
    return encoded(name, f"{convert} {state} -c:v libx264 -preset veryfast -pix_fmt {pixels}")


INTERLACED = {
    "H.264 as of cameras": encoded("a.mts", f"{H264} -x264-params tff=1 -f mpegts -mpegts_m2ts_mode 1", FIELDS),
    "H.264 in MPEG-TS": encoded("a.ts", f"{H264} -x264-params tff=1", FIELDS),
    "H.264 in MP4": encoded("a.mp4", f"{H264} -x264-params tff=1", FIELDS),
    "MPEG-2 in a program stream": encoded("a.mpg", MPEG2, FIELDS),
    "MPEG-2 of a DVD": encoded("a.vob", MPEG2, FIELDS),
    "MPEG-2, 4:2:2": encoded("a.ts", f"{MPEG2} -pix_fmt yuv422p", FIELDS),
    "MPEG-4 in AVI": encoded("a.avi", "-c:v mpeg4 -q:v 3", FIELDS),
    "DV, PAL": encoded(
        "a.dv", "-pix_fmt yuv420p -c:v dvvideo", FIELDS.replace("96x64", "720x576").replace("n=1", "n=0.2")
    ),
    "DV, NTSC": encoded(
        "a.dv",
        "-r 30000/1001 -pix_fmt yuv411p -c:v dvvideo",
        FIELDS.replace("96x64", "720x480").replace("=50", "=60000/1001").replace("n=1", "n=0.2"),
    ),
    "ProRes": encoded("a.mov", "-c:v prores_ks", FIELDS),
}
MATRICES = {
    name: [*encoded("plain.mp4", H264), with_matrix("plain.mp4", "a.mp4", *values)]
    for name, values in {
        "upright": (1, 0, 0, 1),
        "a quarter turn": (0, 1, -1, 0),
        "a half turn": (-1, 0, 0, -1),
        "three quarter turns": (0, -1, 1, 0),
        "mirrored": (-1, 0, 0, 1),
        "upside down, mirrored": (1, 0, 0, -1),
        "along one diagonal": (0, 1, 1, 0),
        "along the other": (0, -1, -1, 0),
        "stretched": (2, 0, 0, 0.5),
        "all but a quarter turn": (0.001, 1, -1, 0.001),
    }.items()
}
# RGB needs no conversion, so nothing but the turn is done to it.
MATRICES["upside down, mirrored, RGB"] = [
    *encoded("plain.mov", "-c:v png"),
    with_matrix("plain.mov", "a.mov", 1, 0, 0, -1),
]
TIMES = {
    "before zero, in Matroska": [
        *encoded("b.mp4", H264),
        "-itsoffset -0.5 -i b.mp4 -c copy -copyts -avoid_negative_ts disabled a.mkv",
    ],
    "before zero, in MP4": [
        *encoded("b.mkv", H264),
        "-itsoffset -0.5 -i b.mkv -c copy -copyts -avoid_negative_ts disabled a.mp4",
    ],
    "an edit list that cuts the start": [*encoded("b.mkv", H264), "-ss 0.5 -i b.mkv -c copy a.mp4"],
    "an edit list that cuts both ends": [*encoded("b.mkv", H264), "-ss 0.2 -i b.mkv -t 0.5 -c copy a.mp4"],
    "a late start": [*encoded("b.mkv", H264), "-itsoffset 1 -i b.mkv -c copy a.mp4"],
    "none, H.264": encoded("a.h264", H264),
    "none, HEVC": encoded("a.hevc", HEVC),
    "none, MPEG-2": encoded("a.m2v", MPEG2),
    "none for B-frames": [*encoded("b.mp4", H264), "-i b.mp4 -c copy a.avi"],
    "twice the same": [*encoded("1.ts", H264), joined(["1.ts", "1.ts"], "a.ts")],
    "forth and back": [
        *encoded("1.ts", H264),
        *encoded("2.ts", f"-vf hue=h=90 {H264} -output_ts_offset 1000"),
        joined(["1.ts", "2.ts", "1.ts"], "a.ts"),
    ],
    "a gap": encoded("a.mkv", f"-vf setpts='if(gt(N,12),N+200,N)/25/TB' -fps_mode passthrough {H264}"),
    "uneven, in MP4": encoded("a.mp4", f"{UNEVEN} {H264}"),
    "uneven, in WebM": encoded("a.webm", f"{UNEVEN} {VP9}"),
}
LAYOUTS = {
    "the index at the end": encoded("a.mp4", H264),
    "the index at the start": encoded("a.mp4", f"{H264} -movflags faststart"),
    "fragments": encoded("a.mp4", f"{H264} -movflags frag_keyframe+empty_moov"),
    "fragments after a first part": encoded("a.mp4", f"{H264} -movflags frag_keyframe -frag_duration 200000"),
    "open groups": encoded("a.mkv", f"{H264} -x264-params open-gop=1:bframes=3"),
    "open groups cut into": [
        *encoded("b.ts", f"{H264} -x264-params open-gop=1:bframes=3"),
        "-ss 0.5 -i b.ts -c copy a.ts",
    ],
    "open groups cut into, in MP4": [
        *encoded("b.mkv", f"{H264} -x264-params open-gop=1:bframes=3"),
        "-ss 0.5 -i b.mkv -c copy a.mp4",
    ],
    "open groups of HEVC cut into": [
        *encoded("b.mp4", f"{HEVC}:open-gop=1"),
        "-ss 0.5 -i b.mp4 -c copy a.mp4",
    ],
    "a start in the middle of a transport stream": [*encoded("b.ts", H264), headless("b.ts", "a.ts", 0.3)],
    "a start in the middle of a program stream": [*encoded("b.mpg", MPEG2), headless("b.mpg", "a.mpg", 0.3)],
    "alternate reference frames": encoded("a.webm", f"{VP9} -lag-in-frames 16 -auto-alt-ref 1"),
    "a size that grows": [
        *encoded("1.ts", H264),
        *encoded("2.ts", H264, PATTERN.replace("96x64", "160x90")),
        joined(["1.ts", "2.ts"], "a.ts"),
    ],
    "a size that shrinks": [
        *encoded("1.ts", H264),
        *encoded("2.ts", H264, PATTERN.replace("96x64", "48x36")),
        joined(["1.ts", "2.ts", "1.ts"], "a.ts"),
    ],
    "one frame": encoded("a.mp4", f"-frames:v 1 {H264}"),
    "one frame, in MPEG-TS": encoded("a.ts", f"-frames:v 1 {H264}"),
    "sound": encoded("a.mp4", f"-f lavfi -i sine=duration=1 {H264}"),
    "the second of two videos is larger": encoded(
        "a.mkv", f"{PATTERN.replace('96x64', '192x128')} -map 0 -map 1 {H264}"
    ),
    "a cover": [
        COVER,
        *encoded("b.mp4", H264),
        "-i b.mp4 -i cover.png -map 0 -map 1 -c copy -disposition:v:1 attached_pic a.mp4",
    ],
    "a cover before the video": [
        COVER,
        *encoded("b.mp4", H264),
        "-i cover.png -i b.mp4 -map 0 -map 1 -c copy -disposition:v:0 attached_pic a.mp4",
    ],
    "AV1": encoded("a.mp4", "-c:v libsvtav1 -preset 12 -svtav1-params lp=1"),
    "Flash": encoded("a.flv", H264),
    "Theora": encoded("a.ogv", "-c:v libtheora -q:v 7"),
    "Windows Media": encoded("a.wmv", "-c:v wmv2 -q:v 3"),
    "TIFF, whose frames bring more along than PyAV has names for": encoded("a.mkv", "-c:v tiff"),
    "GIF": encoded("a.gif", "-c:v gif"),
}
COLORS = {
    **{
        f"{stated}, {levels}": colored("a.mp4", matrix, stated, levels)
        for matrix, stated in STATED
        for levels in ("tv", "pc")
    },
    "full range by its format": encoded("a.mkv", "-c:v mjpeg -q:v 2 -pix_fmt yuvj420p"),
    "bt709 in MPEG-2": encoded(
        "a.mpg", f"-vf scale=out_color_matrix=bt709 -colorspace bt709 -color_range tv {MPEG2} -pix_fmt yuv420p"
    ),
    "PQ": colored("a.mp4", "bt2020", "bt2020nc", "tv", "yuv420p10le", "smpte2084"),
    "HLG": colored("a.mp4", "bt2020", "bt2020nc", "tv", "yuv420p10le", "arib-std-b67"),
    **{
        f"H.264, {pixels}": encoded("a.mp4", f"-c:v libx264 -preset veryfast -pix_fmt {pixels}")
        for pixels in (
            "yuv420p10le",
            "yuv422p",
            "yuv422p10le",
            "yuv444p",
            "yuv444p10le",
            "yuvj444p",
            "gray",
            "gray10le",
        )
    },
    **{
        f"HEVC, {pixels}": encoded("a.mp4", f"{HEVC} -pix_fmt {pixels}")
        for pixels in ("yuv420p10le", "yuv420p12le", "yuv444p12le", "gbrp")
    },
    **{f"FFV1, {pixels}": encoded("a.mkv", f"-c:v ffv1 -pix_fmt {pixels}") for pixels in OF_FFV1},
    **{
        f"raw {pixels}": encoded("a.nut", f"{RAW} {pixels}") for pixels in ("nv12", "uyvy422", "monow", "pal8", "rgb24")
    },
    "RGB in H.264": encoded("a.mkv", "-c:v libx264rgb"),
    "PNG": encoded("a.mov", "-c:v png"),
    "alpha in ProRes": encoded("a.mov", "-c:v prores_ks -pix_fmt yuva444p10le"),
    "alpha in VP9": encoded("a.webm", f"-vf format=yuva420p,geq=lum=p(X\\,Y):a=X*2 {VP9}"),
    "10 bit for broadcast": encoded("a.mov", "-c:v v210"),
    **{
        f"{size} of {codec.split()[1]}": encoded(name, codec, PATTERN.replace("96x64", size))
        for name, codec in {"a.mkv": "-c:v ffv1 -pix_fmt yuv420p", "a.webm": VP9, "a.avi": "-c:v mpeg4 -q:v 2"}.items()
        for size in ("95x63", "97x64", "96x63")
    },
    "a single line": encoded("a.mkv", "-vf crop=17:1:0:20:exact=1 -c:v ffv1 -pix_fmt yuv444p"),
    "4:4:4 of an odd size": encoded("a.mp4", "-c:v libx264 -pix_fmt yuv444p", PATTERN.replace("96x64", "95x63")),
    "cropped": [
        *encoded("b.mp4", H264),
        "-i b.mp4 -c copy -bsf:v h264_metadata=crop_right=6:crop_bottom=2 a.mp4",
    ],
}
DAMAGED = {
    "an MP4 at 50 %": [*encoded("b.mp4", f"{H264} -movflags faststart"), cut("b.mp4", "a.mp4", 0.5)],
    "an MP4 at 80 %": [*encoded("b.mp4", f"{H264} -movflags faststart"), cut("b.mp4", "a.mp4", 0.8)],
    "fragments at 70 %": [
        *encoded("b.mp4", f"{H264} -movflags frag_keyframe+empty_moov"),
        cut("b.mp4", "a.mp4", 0.7),
    ],
    "an H.264 AVI at 55 %": [*encoded("b.mp4", H264), "-i b.mp4 -c copy b.avi", cut("b.avi", "a.avi", 0.55)],
    "a transport stream at 40 %": [*encoded("b.ts", H264), cut("b.ts", "a.ts", 0.4)],
    "a transport stream of fields at 40 %": [
        *encoded("b.ts", f"{H264} -x264-params tff=1", FIELDS),
        cut("b.ts", "a.ts", 0.4),
    ],
    "a program stream at 43 %": [*encoded("b.mpg", MPEG2), cut("b.mpg", "a.mpg", 0.43)],
    "a Flash file at 43 %": [*encoded("b.flv", H264), cut("b.flv", "a.flv", 0.43)],
    "a scratched Matroska": [*encoded("b.mkv", H264), scratched("b.mkv", "a.mkv")],
    "a scratched transport stream": [*encoded("b.ts", H264), scratched("b.ts", "a.ts")],
    "a scratched AVI": [*encoded("b.avi", "-c:v mpeg4 -q:v 3 -bf 2"), scratched("b.avi", "a.avi")],
}
UNMARKED = {  # cut where a packet ends, or by containers that say nothing of it: nothing is missing in what is left
    "a Matroska at 43 %": [*encoded("b.mkv", H264), cut("b.mkv", "a.mkv", 0.43)],
    "a WebM at 77 %": [*encoded("b.webm", VP9), cut("b.webm", "a.webm", 0.77)],
    "DV at 50 %": [*INTERLACED["DV, PAL"], lambda folder: (folder / "a.dv").rename(folder / "b.dv"),
                   cut("b.dv", "a.dv", 0.5)],
}  # fmt: skip


def make(folder, steps):
    """The path of the file that the steps lead to, the only one called "a"."""
    for step in steps:
        step(folder) if callable(step) else ffmpeg(folder, step)
    (path,) = folder.glob("a.*")
    return str(path)


def check(video, expected, most=MOST):
    """As many frames, each near to that of `ffmpeg` and no nearer to another."""
    assert video.shape == expected.shape
    ours, theirs = video.astype(np.int16), expected.astype(np.int16)
    errors = np.abs(ours - theirs).mean(axis=(1, 2, 3))
    assert errors.max() <= most, errors
    for shift in (-1, 1):
        beside = np.abs(ours[max(-shift, 0) : len(ours) - max(shift, 0)] - theirs[max(shift, 0) :][: len(ours) - 1])
        mine = errors[max(-shift, 0) : len(ours) - max(shift, 0)]
        assert (mine <= beside[: len(mine)].mean(axis=(1, 2, 3))).all(), f"frames moved by {shift}"


WHOLE = {**MATRICES, **TIMES, **LAYOUTS, **COLORS, **UNMARKED}


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_files(tmp_path, kind):
    path = make(tmp_path, WHOLE[kind])
    video = read_video(path)
    check(video, frames_by_ffmpeg(path), MOST_INTERLACED if kind.startswith("DV") else MOST)
    report = examine(path)
    assert report.frames == len(video)
    assert not report.interlaced or kind.startswith("DV")


@pytest.mark.parametrize("kind", INTERLACED)
def test_interlaced_files(tmp_path, kind):
    path = make(tmp_path, INTERLACED[kind])
    expected = frames_by_ffmpeg(path)
    assert len(expected) > 3
    check(read_video(path), expected, MOST_INTERLACED)
    assert examine(path).rate == pytest.approx(30000 / 1001 if "NTSC" in kind else 25)
    # What a DV file holds says so in each frame, which FFmpeg reads for some of its kinds only.
    assert examine(path).interlaced in ((0, len(expected)) if kind.startswith("DV") else (len(expected),))


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files(tmp_path, kind):
    """As many frames as `ffmpeg` shows; what it makes up in part, it may make up otherwise in another version."""
    path = make(tmp_path, DAMAGED[kind])
    video, expected, report = read_video(path), frames_by_ffmpeg(path), examine(path)
    assert 3 < len(video) == len(expected) == report.frames
    assert video.shape == expected.shape
    errors = np.abs(video.astype(np.int16) - expected).mean(axis=(1, 2, 3))
    wrong = int((errors > (MOST_INTERLACED if "fields" in kind else MOST)).sum())
    assert wrong <= report.damaged
    assert report.is_damaged


def test_the_corpus_shows_what_it_is_meant_to(tmp_path):
    """The sizes do change, time stamps are missing, pictures lie otherwise."""
    reports = {}
    for kind in ("a size that grows", "none, H.264", "a quarter turn", "uneven, in MP4", "PQ", "bt709, pc"):
        (tmp_path / kind).mkdir()
        path = make(tmp_path / kind, WHOLE[kind])
        reports[kind] = examine(path)
    assert reports["none, H.264"].has_variable_rate is None
    assert reports["uneven, in MP4"].has_variable_rate
    assert reports["a quarter turn"].orientation == "90°"
    assert (reports["a quarter turn"].width, reports["a quarter turn"].height) == (64, 96)
    assert reports["PQ"].color == "bt2020 limited 10 bit PQ"
    assert reports["bt709, pc"].color == "bt709 full 8 bit"
    assert reports["a size that grows"].frames == 50


def test_other_angles_stay_as_stored(tmp_path):
    """`ffmpeg` turns them, which cuts the corners off; the scan says so."""
    path = make(tmp_path, [*encoded("b.mp4", H264), with_matrix("b.mp4", "a.mp4", 0.7071, 0.7071, -0.7071, 0.7071)])
    check(read_video(path), frames_by_ffmpeg(path, "-noautorotate"))
    assert examine(path).orientation == "an odd angle, shown as stored"


def test_a_matrix_in_the_stream_counts_for_all_frames(tmp_path):
    """It comes with the first frame alone: after a seek nobody would know of it."""
    long = PATTERN.replace("n=1", "n=3")
    turn = "-bsf:v h264_metadata=display_orientation=insert:rotate=90"
    path = make(tmp_path, [*encoded("b.mp4", H264, long), f"-i b.mp4 -c copy {turn} a.mkv"])
    report = examine(path)
    assert (report.orientation, report.width, report.height) == ("270°", 64, 96)
    assert not report.seeks_exactly
    assert examine(str(tmp_path / "b.mp4")).seeks_exactly
    stored = frames_by_ffmpeg(tmp_path / "b.mp4")
    check(read_video(path), np.rot90(stored, axes=(1, 2)))  # a quarter turn anticlockwise


def test_8k(tmp_path):
    source = PATTERN.replace("96x64", "7680x4320").replace("n=1", "n=0.08")
    path = make(tmp_path, encoded("a.mp4", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p", source))
    check(read_video(path, [1]), frames_by_ffmpeg(path)[1:])


def test_a_song_with_a_cover_is_no_video(tmp_path):
    ffmpeg(tmp_path, COVER)
    ffmpeg(
        tmp_path,
        "-f lavfi -i sine=duration=1 -i cover.png -map 0 -map 1 -c:a libmp3lame -c:v copy "
        "-disposition:v attached_pic a.mp3",
    )
    with pytest.raises(BadVideo, match="a song with the picture of a cover"):
        read_video(tmp_path / "a.mp3")


@pytest.mark.parametrize("kind", ["H.264 in MPEG-TS", "MPEG-2 in a program stream"])
def test_what_the_other_decoder_makes_of_interlaced_files(tmp_path, kind):
    """This is why it is not the default: should it come right one day, this says so."""
    path = make(tmp_path, INTERLACED[kind])
    with pytest.raises(AssertionError):
        check(read_video(path, decoder="opencv"), frames_by_ffmpeg(path), MOST_INTERLACED)
