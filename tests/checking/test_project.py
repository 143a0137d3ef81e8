"""What the first stage says of a whole params.yaml; each case is the shipped file with something changed."""

import copy
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from refdiff.checking.project import check_project, list_problems
from refdiff.checking.start import start_stage
from refdiff.errors import ParameterError, ParametersError
from tests.checking.small_change import ROOT, changed, shipped

NAN = float("nan")
METHOD = "methods.ref-diff-plus"


def problems_of(changes: Mapping[str, object]) -> list[str]:
    return list_problems(changed(changes))[1]


def test_the_shipped_parameters_are_right() -> None:
    project = check_project(shipped())
    assert project.rows.keys() | project.sections.keys() == shipped().keys()
    assert set(project.rows["methods"]) == set(shipped()["methods"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed_clipp": {}}, "embed_clipp: unknown section; did you mean 'embed_clip'?"),
        ({"zzz": 1}, "zzz: unknown section; remove it or correct the name"),
        ({"splits": {}}, "splits: expected at least one named row, got {}; add one"),
        ({"sources": None}, "sources: expected at least one named row, got None; add one, or write {} for none"),
        (
            {"splits.demo_val.folder": "data\\\\own"},
            "splits.demo_val.folder: expected a path on this machine, with / be",
        ),
        ({"splits.demo_val.images": "https://x.org/a"}, "splits.demo_val.images: expected a path on this machine"),
        ({"methods.ds.beta": NAN}, "methods.ds.beta: expected a finite number, got nan"),
        (
            {"methods.ds.select.rule": "threshold"},
            "methods.ds.select.rule: expected one of argmax, fixed, otsu, area, got 'threshold'",
        ),
        ({"methods.ds.select.rule": "argmx"}, "methods.ds.select.rule: expected one of argmax, fixed, otsu, area, got"),
        ({"methods.ds.bteta": 1}, "methods.ds.bteta: unknown parameter; did you mean 'beta'?"),
        ({"sources.regions.kind": "region"}, "sources.regions.kind: unknown kind 'region'; expected one of: sam, "),
        (
            {"extract_attention.device": "mps"},
            "extract_attention.device: expected auto, cpu, cuda or cuda:N",
        ),
        (
            {"readouts.paper.capture": "papr"},
            "readouts.paper.capture: no capture 'papr'; expected one of: paper, released; did you mean 'paper'?",
        ),
        (
            {"readouts.released.steps": [0, 2]},
            "readouts.released.steps: 2 is beyond capture 'released', which runs the ",
        ),
        (
            {"readouts.paper.steps": [1]},
            "readouts.paper.steps: 1 is beyond capture 'paper', which runs the U-Net 1 tim",
        ),
        (
            {"captures.paper.cross_layers": {"map_px": [32]}},
            "readouts.paper.layers.map_px: 8 is not kept by capture 'paper'; expected some of: 32; correct the readout",
        ),
        (
            {"captures.paper.cross_layers": ["a"], "readouts.paper.layers": ["a", "b"]},
            "readouts.paper.layers: 'b' is not kept by capture 'paper'; expected some of: a; correct the readout",
        ),
        ({"heat_sources.weak.readout": "mine"}, "heat_sources.weak.readout: no readout 'mine'; expected one of: paper"),
        (
            {"sources.weak": {"kind": "truth"}},
            "heat_sources: 'weak' is a name of sources too, and both would write one",
        ),
        ({f"{METHOD}.proposals": "region"}, f"{METHOD}.proposals: no source 'region'; expected one of: regions, weak;"),
        ({f"{METHOD}.proposals": "weak"}, f"{METHOD}: 'weak' is a heat source, whose masks have no CLIP embeddings;"),
        ({f"{METHOD}.readout": "mine"}, f"{METHOD}.readout: no readout 'mine'; expected one of: paper, released"),
        (
            {"methods.gs.select": {"rule": "fixed", "threshold": 0.5, "area_power": None}},
            "methods.gs.select.rule: fixed needs masks that were cut from a heat map, got source 'regions'; use argmax",
        ),
        (
            {"methods.ds.local_ramp": "paper"},
            "methods.ds.local_ramp: paper is not embedded; expected one of: none, released; choose another or add it",
        ),
        (
            {"methods.ds.beta": 1.0, "methods.ds.text_global": {"expression": 0.0, "head": 0.0}},
            "methods.ds: every weight of text_global is 0, so that CLIP tells no mask from another; give one a weight",
        ),
        (
            {"render_report.ranked_by": "sd"},
            "render_report.ranked_by: no method 'sd'; expected one of: ref-diff, gs, ds",
        ),
        (
            {"splits.demo_val.folder": "~/data"},
            "splits.demo_val.folder: DVC watches this folder and knows no home fold",
        ),
    ],
)
def test_what_is_wrong_anywhere_is_one_line(changes: Mapping[str, object], message: str) -> None:
    (problem,) = problems_of(changes)
    assert problem.startswith(message)


@pytest.mark.parametrize(
    "changes",
    [
        {"sources": {}, "methods": {"weak": shipped()["methods"]["ref-diff"]}},
        {"heat_sources": {}, "methods": {"gs": shipped()["methods"]["gs"]}},
        {"methods.gs.local_ramp": "paper"},  # CLIP is not used
        {"methods.ds.text_global": {"expression": 0.0, "head": 0.0}},  # the local view tells masks apart
        {"render_report.ranked_by": "ds"},
        {"readouts.paper.layers": {"map_px": [7]}},  # only the model knows its maps
        {"splits.Größe_2-b": shipped()["splits"]["demo_val"]},
    ],
)
def test_what_works_is_not_refused(changes: Mapping[str, object]) -> None:
    assert problems_of(changes) == []


@pytest.mark.parametrize("table", ["splits", "captures", "readouts", "sources", "heat_sources", "methods"])
@pytest.mark.parametrize(
    "name",
    [
        "alpha0.1",
        "refcocog.umd",
        "val@2",
        "refcoco val",
        "2014_08",
        "1e3",
        "-x",
        "_x",
        "a/b",
        "a:b",
        "on",
        "No",
        "null",
    ],
)
def test_a_name_that_another_reader_takes_otherwise_is_refused(table: str, name: str) -> None:
    row = next(iter(shipped()[table].values()))
    params = copy.deepcopy(shipped())
    params[table][name] = row
    problem, *others = list_problems(params)[1]
    assert problem.startswith(
        f"{table}: row name {name!r} would be read otherwise by DVC or YAML; expected letters, dig"
    )
    assert not others


@pytest.mark.parametrize("written", ["on", "2014_08", "1.5", "2014-08-01", "null", "~"])
def test_a_name_that_yaml_reads_as_no_text_is_refused(written: str) -> None:
    params = changed({"methods": yaml.safe_load(f"{{{written}: 1, ds: 1}}")})
    params["methods"] = dict.fromkeys(params["methods"], shipped()["methods"]["ds"])
    (problem,) = list_problems(params)[1]
    assert "is no text, as YAML reads it; expected letters, digits, _ and -, a letter first; rename the row" in problem


def test_a_method_is_not_called_like_an_artifact() -> None:
    (problem,) = problems_of({"methods.clip": shipped()["methods"]["ds"]})
    assert problem.startswith("methods: row name 'clip' is the name of an artifact")


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(ParametersError) as refused:
        check_project(changed({"methods.ds.beta": 7, "evaluate_masks.unit": "sentence", "engine": None}))
    first, *lines = str(refused.value).splitlines()
    assert first == f"params.yaml: {len(lines)} problems; correct them"
    assert {line.split(":")[0].strip() for line in lines} >= {"methods.ds.beta", "evaluate_masks.unit", "engine.kind"}


def test_one_problem_is_a_line_of_its_own() -> None:
    with pytest.raises(ParameterError, match=r"^methods\.ds\.beta: expected less than or equal to 1, got 7$"):
        check_project(changed({"methods.ds.beta": 7}))


STAGES = sorted(file.stem for file in (ROOT / "stages").glob("[!_]*.py"))


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_refuses_what_a_late_one_would(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    params = changed({"methods.ds.select.rule": "threshold"})
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    rows = {"extract_attention": "paper", "propose_masks": "regions", "embed_clip": "regions", "fuse_scores": "gs"}
    rows |= {"propose_heat_masks": "weak", "evaluate_masks": "gs"}
    split = [] if stage in ("draw_scenes", "render_report") else ["demo_val"]
    monkeypatch.setattr(sys, "argv", [stage, *split, *([rows[stage]] if stage in rows else [])])
    main: Callable[[], None] = __import__(f"stages.{stage}", fromlist=["main"]).main
    with pytest.raises(ParameterError, match=r"^methods\.ds\.select\.rule: expected one of argmax, fixed, otsu, area"):
        main()
    assert capsys.readouterr() == ("", "")


def test_a_row_name_with_a_space_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC gives such a name as two words."""
    rows = {"refcoco val": changed({})["splits"]["demo_val"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed({"splits": rows})), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["prepare_dataset", "refcoco", "val"])
    with pytest.raises(ParameterError, match=r"^splits: row name 'refcoco val' would be read otherwise"):
        start_stage("prepare_dataset", None, ("splits",))


def test_the_check_imports_no_model_library() -> None:
    script = (
        "import sys, refdiff.checking.start\n"
        "print(sorted({'torch', 'transformers', 'diffusers', 'open_clip', 'spacy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
