import pytest

from mae.doctor.software import check_software

REQUIREMENTS = [
    "keras<3.16,>=3.15",
    "numpy>=1.26",
    "opencv-python-headless>=4.11",
    'tensorflow<2.22,>=2.21; extra == "tensorflow"',
    'jax<0.11,>=0.10; extra == "jax"',
]
HERE = {"keras": "3.15.1", "numpy": "2.4.6", "opencv-python-headless": "5.0.0.93", "tensorflow": "2.21.0"}


def problems(installed):
    return {f.topic: f for f in check_software(installed.get, REQUIREMENTS) if f.remedy is not None}


def test_what_was_tested_is_no_problem():
    assert problems(HERE) == {}
    assert problems(HERE | {"jax": "0.10.2", "jaxlib": "0.10.2"}) == {}


@pytest.mark.parametrize(
    ("change", "topic", "text", "is_fatal"),
    [
        ({"keras": "3.14.0"}, "keras", "3.14.0, and <3.16,>=3.15 was tested", False),
        ({"keras": None}, "keras", "not installed", True),
        ({"tensorflow": "2.20.0"}, "tensorflow", "2.20.0, and <2.22,>=2.21 was tested", False),
        ({"tensorflow": None}, "engines", "neither TensorFlow nor JAX", True),
        ({"jax": "0.10.2", "jaxlib": "0.10.1"}, "jax", "jax 0.10.2 with jaxlib 0.10.1", True),
        ({"opencv-python": "5.0.0.93"}, "opencv", "2 wheels over each other", False),
        ({"opencv-python-headless": None}, "opencv", "not installed", True),
    ],
)
def test_each_problem_has_a_line(change, topic, text, is_fatal):
    (found,) = problems(HERE | change).values()
    assert (found.topic, found.is_fatal) == (topic, is_fatal)
    assert text in found.text
    assert "pip" in found.remedy


def test_another_wheel_of_opencv_alone_does():
    assert problems({**HERE, "opencv-python-headless": None, "opencv-python": "5.0.0.93"}) == {}


def test_of_two_wheels_both_are_taken_away_first():
    (found,) = problems(HERE | {"opencv-python": "5.0.0.93"}).values()
    assert found.remedy == (
        "pip uninstall -y opencv-python-headless opencv-python && pip install opencv-python-headless"
    )
