import pytest

import mae.doctor.codecs as codecs
from mae.doctor.codecs import CODECS, Codec, check_codecs


def test_all_codecs_that_can_be_tried_are_decoded():
    found = check_codecs()
    assert [finding for finding in found if finding.remedy is not None] == []
    assert "H.264, HEVC" in found[0].text


@pytest.mark.parametrize(("codec", "is_fatal"), [(CODECS[0], True), (CODECS[6], False)])
def test_frames_that_come_back_otherwise_are_a_problem(monkeypatch, codec, is_fatal):
    encoded = codecs._encoded
    monkeypatch.setattr(codecs, "_encoded", lambda codec, clip: encoded(codec, 255 - clip))
    found = check_codecs((codec,))[1]
    assert found.text.startswith(f"{codec.name}: the frames that come back differ by ")
    assert found.is_fatal == is_fatal


def test_missing_frames_are_a_problem(monkeypatch):
    encoded = codecs._encoded
    monkeypatch.setattr(codecs, "_encoded", lambda codec, clip: encoded(codec, clip[:5]))
    assert check_codecs(CODECS[:1])[1].text == "H.264: 5 of 8 frames come back"


def test_what_is_no_video_is_a_problem(monkeypatch):
    monkeypatch.setattr(codecs, "_encoded", lambda codec, clip: codecs.io.BytesIO(b"no video" * 100))
    assert "InvalidDataError" in check_codecs(CODECS[:1])[1].text


def test_without_an_encoder_nothing_is_known():
    found = check_codecs((Codec("Indeo", "indeo5_encoder", "avi"),))
    assert found[-1].text == "no encoder here to try Indeo with"
    assert found[-1].remedy is None
