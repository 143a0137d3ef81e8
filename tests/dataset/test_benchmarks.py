import pytest

from refdiff.dataset.benchmarks import BENCHMARKS, find_benchmark


@pytest.mark.parametrize("name", ["refcocog val", "RefCOCOg val(U)", "RefCOCOg val (umd)", "RefCOCOg-val"])
def test_names_of_the_umd_split(name: str) -> None:
    found = find_benchmark(name)
    assert found is not None
    assert (found.split_by, found.images, found.objects, found.sentences) == ("umd", 1300, 2573, 4896)


@pytest.mark.parametrize("name", ["RefCOCOg val(G)", "refcocog_val (google)"])
def test_names_of_the_google_split(name: str) -> None:
    found = find_benchmark(name)
    assert found is not None
    assert (found.split_by, found.objects) == ("google", 5000)


@pytest.mark.parametrize("name", ["", "RefCOCO", "demo", "RefCOCO valley", "RefCOCO val(U)"])
def test_other_names_are_none(name: str) -> None:
    assert find_benchmark(name) is None


def test_each_is_found_by_its_own_name_and_place() -> None:
    assert [find_benchmark(each.name) for each in BENCHMARKS] == list(BENCHMARKS)
    assert len({(each.dataset, each.split_by, each.split) for each in BENCHMARKS}) == len(BENCHMARKS)
