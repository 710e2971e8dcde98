"""What a comparison says about the devices on which its models were trained."""

from shared.training.compare import note_devices

CPU = {"device": "cpu", "tf32": False}
GPU = {"device": "cuda", "tf32": False}


def test_equal_devices_need_no_note() -> None:
    assert note_devices({"tensorflow": CPU, "pytorch": CPU}) == []
    assert note_devices({"tensorflow": GPU, "pytorch": GPU}) == []


def test_different_devices_and_tf32_are_noted() -> None:
    (note,) = note_devices({"tensorflow": CPU, "pytorch": GPU})
    assert note == "the backends computed on different devices: tensorflow on cpu and pytorch on cuda"
    (note,) = note_devices({"tensorflow": GPU, "pytorch": {**GPU, "tf32": True}})
    assert note == "TF32 was on, which keeps three digits of each factor: pytorch"
