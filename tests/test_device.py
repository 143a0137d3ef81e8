"""Where a network may run: refused with a word, and before anything is loaded."""

import pytest
import torch

from refdiff.device import check_precision, describe_device
from refdiff.errors import ParameterError
from refdiff.params import Device, Section, parse_section


class _Settings(Section):
    device: Device


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:11"])
def test_names_of_devices(name: str):
    assert parse_section(_Settings, {"device": name}, "stage").device == name


@pytest.mark.parametrize("name", ["gpu", "CUDA", "cuda:", "cuda:a", "cpu\n", "", "mps"])
def test_another_name_is_refused_in_words(name: str):
    expected = r"^stage\.device: expected auto, cpu, cuda or cuda:N \(Apple's accelerator is not used\), got "
    with pytest.raises(ParameterError, match=expected):
        parse_section(_Settings, {"device": name}, "stage")


def test_float16_is_refused_on_a_cpu_alone():
    with pytest.raises(ParameterError, match=r"^stage\.dtype: .*expected bfloat16 or float32 on a CPU, got float16"):
        check_precision(torch.device("cpu"), "float16", "stage.dtype")
    for device, dtype in (("cpu", "bfloat16"), ("cpu", "float32"), ("cuda:0", "float16")):
        check_precision(torch.device(device), dtype, "stage.dtype")


def test_a_device_is_described():
    assert describe_device(torch.device("cpu"), "bfloat16") == f"cpu ({torch.get_num_threads()} threads), bfloat16"
    assert describe_device(torch.device("cuda:1"), "float16") == "cuda:1, float16"
