"""Video files, decoded by PyAV, which brings FFmpeg's libraries.

A file gives what `ffmpeg` shows of it: the frames that decode, in the order of display, whatever its time stamps are.
Decoding begins with the first frame. Only files of which `mae.data.scan` found that all time stamps rise and that seeks
lead to the same frames are sought in; a seek is believed if it leads to a frame of the very time stamp that the scan
saw there.
"""

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import av
import numpy as np
from av.codec.context import Flags
from av.stream import Discard, Disposition

from mae.data.videos.decoding import RGB, Decoding
from mae.data.videos.pixels import Pixels
from mae.data.videos.video import LARGEST_CREDIBLE_COUNT, EndOfVideo
from mae.errors import BadVideo

FASTEST = 1000  # frames per second; raw DV "averages" 60,000
SEEK_GAIN = 16  # frames that a seek must spare: more than what one costs, measured on h264
_STILL_CODECS = ("mjpeg", "png", "bmp", "webp", "gif")  # of pictures, the first one of videos, too
_NO_VIDEO_FORMATS = ("image2", "tty")  # FFmpeg's for pictures, beside those whose name ends in _pipe, and for text


class KeyFrame(NamedTuple):
    """A frame at which decoding can start."""

    number: int  # of the frame, in the order of display
    time: int  # its time stamp, in the stream's units


class CoverPicture(BadVideo):
    """A sound file whose only picture is that of its cover."""

    def __init__(self) -> None:
        super().__init__("a song with the picture of a cover, not a video")


class PyAVVideo:
    """See `mae.data.videos.video.Video`; a frame is valid until the next one is asked for.

    Args:
        key_frames: where decoding can start, ascending, if seeking is known to be exact in this file.
        decoding: what pixels are made of its frames.

    Raises:
        BadVideo: it cannot be opened, there is no video in it, or `decoding` is of arrays alone.
    """

    name = "PyAV"

    def __init__(self, path: str, key_frames: Sequence[KeyFrame] = (), decoding: Decoding = RGB) -> None:
        decoding.refuse_colours()
        self._path = path
        self._key_frames = key_frames
        self._pixels = Pixels(decoding.is_grey)
        self.lost = 0  # packets that did not decode
        self._container, self._stream = _opened(path)

    @property
    def codec(self) -> str:
        return str(self._stream.codec_context.name)

    @property
    def orientation(self) -> str:
        """How the first frame lies in the file."""
        return self._pixels.orientation.name

    @property
    def seeks(self) -> bool:
        """Whether there is anywhere to seek to, and no seek has gone wrong."""
        return bool(self._key_frames)

    @property
    def claimed_count(self) -> int | None:
        count = _stated_count(self._stream) or _count_packets(self._path)
        return count if 1 <= count <= LARGEST_CREDIBLE_COUNT else None

    @property
    def frames_per_second(self) -> float | None:
        rates = (self._stream.average_rate, self._stream.guessed_rate)
        return next((float(rate) for rate in rates if rate and 0 < rate <= FASTEST), None)

    def frames(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        decoded = self.decoded()
        position, has_sought = 0, False  # the frame that is decoded next
        for number in wanted.tolist():
            if self._key_frames and (key := self._before(number)).number - position >= SEEK_GAIN:
                decoded, position, has_sought = self._seek(key)
            frame = None
            while position <= number:
                frame = next(decoded, None)
                if frame is not None:
                    position += 1
                elif has_sought:  # the end, or the file is not what the scan saw: only walking can tell
                    decoded, position, has_sought = self._walk_from_the_start()
                else:
                    raise EndOfVideo(position)
            yield self.pixels(frame, number)

    def decoded(self) -> Iterator[av.VideoFrame]:
        """Every frame, as PyAV has it; what does not decode is passed over."""
        try:
            for packet in _packets(self._container, self._stream):
                yield from self._decode(packet)
        except av.FFmpegError:  # the file cannot be read on
            self.lost += 1
        yield from self._decode(None)  # what was read is decoded to its end

    def pixels(self, frame: Any, number: int) -> np.ndarray:
        """Of a frame that was decoded: (H, W, 3) or (H, W, 1) uint8, upright; `BadVideo` where it does not convert."""
        try:
            return self._pixels.of(frame)
        except (av.FFmpegError, ValueError) as error:
            raise BadVideo(f"frame {number} does not convert to 8-bit colour: {_reason(error)}") from error

    def close(self) -> None:
        self._container.close()

    def _decode(self, packet: Any) -> Iterator[av.VideoFrame]:
        """The frames that a packet completes; None: those that are left at the end."""
        try:
            frames = self._stream.decode(packet)
        except EOFError:  # it was decoded to its end before
            return
        except av.FFmpegError:
            self.lost += 1
            return
        for frame in frames:
            self._pixels.first(frame)
            yield frame

    def _before(self, number: int) -> KeyFrame:
        """The last key frame from which decoding leads to that frame."""
        index = bisect_right(self._key_frames, number, key=lambda frame: frame.number)
        return self._key_frames[max(index - 1, 0)]

    def _seek(self, key: KeyFrame) -> tuple[Iterator[av.VideoFrame], int, bool]:
        """The frames after a key frame, the number of the next one, and whether the seek led there.

        Frames before it that some files give after a seek lack what they refer to, and are passed over.
        """
        try:
            self._container.seek(key.time, stream=self._stream)
        except av.FFmpegError:
            return self._walk_from_the_start()
        decoded = self.decoded()
        for frame in decoded:
            if frame.pts == key.time:
                return _put_back(frame, decoded), key.number, True
            if frame.pts is None or frame.pts > key.time:
                break
        return self._walk_from_the_start()

    def _walk_from_the_start(self) -> tuple[Iterator[av.VideoFrame], int, bool]:
        """As `_seek`, for the first frame of the file, opened anew, to seek no more."""
        self._key_frames = ()
        self._container.close()
        self._container, self._stream = _opened(self._path)
        return self.decoded(), 0, False


def holds_video(path: str) -> bool:
    """Whether a file whose name says nothing is a video and not a picture; its container is opened, nothing decoded."""
    try:
        container, _ = _opened(path)
    except BadVideo:
        return False
    with container:
        return not container.format.name.endswith("_pipe") and container.format.name not in _NO_VIDEO_FORMATS


def refuse_cover(path: str) -> None:
    """Raises `CoverPicture` for what other readers take for a video of one frame."""
    try:
        container, _ = _opened(path)
    except CoverPicture:
        raise
    except BadVideo:
        return  # for the other reader to say
    container.close()


def _put_back(frame: av.VideoFrame, following: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    yield frame
    yield from following


def _opened(path: str) -> tuple[Any, Any]:
    """The container and the first stream that is a video and not the picture of a cover; it decodes in this thread."""
    try:
        # Absolute, as "a:b.mkv" would be one of FFmpeg's protocols; a play list must not lead anywhere else.
        container = av.open(os.path.abspath(path), options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BadVideo(f"not a video that PyAV can open: {_reason(error)}") from error
    try:
        videos = [stream for stream in container.streams.video if not _is_cover(stream, container)]
        if not videos:
            raise CoverPicture() if container.streams.video else BadVideo("it has no video stream")
        stream = videos[0]
        if stream.codec_context is None:
            raise BadVideo("PyAV has no decoder for its codec")
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all  # sound need not be read
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1  # dav1d has threads of its own
        if stream.codec_context.name == "hevc":
            # Frames that refer to lost ones, which FFmpeg leaves out of HEVC alone; a scan counts them as damaged.
            stream.codec_context.flags |= Flags.output_corrupt
    except BaseException:
        container.close()
        raise
    return container, stream


def _is_cover(stream: Any, container: Any) -> bool:
    """Whether a stream is one picture beside a sound: marked as such, or a still image by its codec and its count."""
    if stream.disposition & Disposition.attached_pic:
        return True
    codec = None if stream.codec_context is None else stream.codec_context.name
    return codec in _STILL_CODECS and stream.frames == 1 and bool(container.streams.audio)


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of a stream, and perhaps an empty one at the end."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except IndexError:  # PyAV 18 asks at the end for streams that the file announced only after it was opened
            return
        if packet is None:
            return
        yield packet


def _stated_count(stream: Any) -> int:
    """Frames that the container states, if its table of contents bears that out; 0 otherwise.

    A file in fragments states what the first of them holds, some AVIs state fields, and many containers nothing.
    """
    count, index, duration = stream.frames, stream.index_entries, stream.duration
    if not count or len(index) != count or not duration:
        return 0
    missing = duration - (index[-1].timestamp - index[0].timestamp)
    return count if missing * count <= 2 * duration else 0


def _count_packets(path: str) -> int:
    """Packets of the video, which are its frames or a few more; reading them takes a hundredth of decoding them."""
    container, stream = _opened(path)
    count = 0
    try:
        for packet in _packets(container, stream):
            count += packet.size > 0
    except av.FFmpegError:
        pass  # a cut file: as far as it goes
    finally:
        container.close()
    return count


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
