"""The pages: complete, safe with any name, self-contained, and readable on small and large screens."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from qconv import QuantConfig, pipeline
from qconv.cli.main import run
from qconv.integer.metadata import Origin
from qconv.integer.program import Program
from qconv.quant.types import UINT8, QuantParams
from qconv.report import comparison_page, report_page
from qconv.report.advice import advice
from qconv.report.cause import causes
from qconv.report.comparison import short_names
from qconv.report.layout import HEIGHT, WIDTH, layout
from qconv.report.page import made_of
from qconv.report.spread import spread_of
from qconv.report.units import grade, network
from qconv.statistics.summary import Summary
from qconv.verify import Report
from qconv.verify.measure.code_use import CodeMeter
from qconv.verify.measure.faster import Faster
from tests.lower.harness import Array

VOID = {"meta", "path", "rect", "line", "link"}


class Reader(HTMLParser):
    """The text of a page, its links and ids; fails where a tag is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: set[str] = set()
        self.ids: list[str] = []
        self.words = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.links |= {value for key in ("href", "src") if (value := named.get(key)) is not None}
        self.ids += [value for value in [named.get("id")] if value is not None]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def verified(sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Program]:
    """The report of digits_se with one node in float, and its program."""
    folder = tmp_path_factory.mktemp("report")
    model, target = sample_models / "digits_se.onnx", folder / "se.int8.onnx"
    config = QuantConfig(exclude=["last.conv"])
    calibration = pipeline.calibrate(model, str(sample_models / "digits_calib.npz"), config=config)
    pipeline.quantize(model, calibration, config=config).save(target)
    report = pipeline.verify(model, target, str(sample_models / "digits_test.npz"), samples=20)
    return report, Program.read(ir.load(target))


def test_the_page_says_the_verdict_first_and_links_lead_somewhere(verified: tuple[Report, Program]) -> None:
    report, program = verified
    read = Reader(report_page(report, program))
    assert (
        read.words.index("Verdict")
        < read.words.index("What loses most, and why")
        < read.words.index("What to try next")
        < read.words.index("Outputs")
    )
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
    assert len(report.written.float_nodes) > 1
    assert f"{len(report.written.float_nodes)} nodes stay in float." in read.words
    assert f"{report.outputs[0].similarity.sqnr_db:.1f} dB" in read.words
    assert all(layer.node in read.words for layer in report.layers[:15])


def test_the_page_loads_nothing(verified: tuple[Report, Program]) -> None:
    page = report_page(*verified)
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert page.count("<script") <= 1  # that shows the first node of a wide picture
    assert len(page) < 1_000_000


def test_every_layer_is_a_unit_and_float_nodes_have_their_reason(verified: tuple[Report, Program]) -> None:
    report, program = verified
    drawn = network(program, report.written, report.layers)
    assert {layer.node for layer in report.layers} <= {unit.name for unit in drawn.units}
    in_float = next(unit for unit in drawn.units if unit.name == "last.conv")
    assert in_float.kind == "float" and in_float.in_float is not None and in_float.in_float.startswith("Conv: ")
    conv = next(unit for unit in drawn.units if unit.name == "stem.conv")
    words = dict(conv.facts)
    assert words["proved equal to onnxruntime"] == "all"
    assert words["weight"] == "16 x 1 x 3 x 3"
    assert sum(conv.weights) == 16 * 9
    assert conv.layer is not None and sum(conv.layer.codes.bins) == 4 * 16 * 16 * 16


def test_names_cannot_break_out(verified: tuple[Report, Program]) -> None:
    report, program = verified
    name = '<script>alert("x")</script>'
    layers = tuple(replace(layer, node=name) for layer in report.layers[:1])
    page = report_page(replace(report, layers=layers, warnings=(name,), float_model=f"{name} $(rm)"), program)
    assert "<script>alert" not in page
    assert name in Reader(page).words


def test_advice_ends_where_nothing_is_to_be_gained(verified: tuple[Report, Program]) -> None:
    report, program = verified
    lines = [line for _, line in advice(report, program)]
    assert any("--exclude" in line for line in lines) and any("qconv analyze" in line for line in lines)
    fine = replace(
        report, outputs=tuple(replace(o, similarity=replace(o.similarity, sqnr_db=40.0)) for o in report.outputs),
        written=replace(report.written, float_nodes=()),
    )  # fmt: skip
    assert list(advice(fine, program)) == []


def test_a_layer_whose_range_cuts_values_off_is_named_with_the_remedy(verified: tuple[Report, Program]) -> None:
    report, _ = verified
    layer = next(layer for layer in report.layers if layer.own is not None)
    assert layer.own is not None
    spoilt = replace(layer, own=replace(layer.own, sqnr_db=6.0), codes=replace(layer.codes, at_highest=0.2))
    found = list(causes(replace(report, layers=(*report.layers, spoilt))))
    assert found[0].node == layer.node and found[0].narrow and "20.0 % of its elements lie at the greatest code" in found[0].text
    sparse = replace(spoilt, codes=replace(layer.codes, at_highest=0.0, used=20))
    assert "take 20 of 256 codes" in next(causes(replace(report, layers=(sparse,)))).text
    outputs = tuple(replace(o, similarity=replace(o.similarity, sqnr_db=10.0)) for o in report.outputs)
    lines = [line for _, line in advice(replace(report, layers=(spoilt,), outputs=outputs), None)]
    assert any("--method auto" in line for line in lines)


def test_a_warned_report_is_not_called_fine(verified: tuple[Report, Program]) -> None:
    report, program = verified
    assert "Look at the warnings." in report_page(replace(report, warnings=("output y is lost",)), program)
    failed = replace(report, verdict=replace(report.verdict, passed=False, reasons=("too small",)))
    assert "too small" in Reader(report_page(failed)).words


def test_a_comparison_has_the_figures_of_the_reports(verified: tuple[Report, Program]) -> None:
    report, _ = verified
    cheap = replace(report, integer_model="cheap.onnx", cost=replace(report.cost, integer_bytes=1000, integer_ms=0.001))
    poor = replace(report, integer_model="poor.onnx", cost=replace(report.cost, integer_bytes=10**6, integer_ms=9.0))
    page = comparison_page([report, cheap, poor])
    read = Reader(page)
    assert report.accuracy is not None
    assert read.words.count(f"{100 * report.accuracy.integer_top1:.2f} %") >= 3
    assert "1.0 kB" in read.words and "1.00 MB" in read.words
    assert page.count('class="dot best"') == 2  # the cheap one, in both plots: all scores are equal
    assert "SQNR of the worst output, dB" in read.words  # as accuracy tells none apart
    worse = replace(poor, accuracy=replace(report.accuracy, integer_top1=0.5))
    assert "top-1 accuracy, %" in Reader(comparison_page([report, worse])).words


def test_two_files_of_one_name_are_told_apart() -> None:
    assert short_names(["a/m.onnx", "b/m.onnx"]) == ["a/m.onnx", "b/m.onnx"]
    assert short_names(["a/m.onnx", "b/n.onnx"]) == ["m.onnx", "n.onnx"]


@pytest.mark.parametrize(
    ("count", "edges"),
    [
        (1, []),
        (4, [(0, 1), (1, 2), (2, 3)]),
        (6, [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4), (0, 4), (4, 5)]),
        (3, [(0, 1)]),
    ],
)
def test_boxes_do_not_overlap_and_lines_go_down(count: int, edges: list[tuple[int, int]]) -> None:
    placed = layout(count, edges)
    corners = placed.corners
    for i in range(count):
        for j in range(i):
            apart = abs(corners[i][0] - corners[j][0]) >= WIDTH or abs(corners[i][1] - corners[j][1]) >= HEIGHT
            assert apart
    assert all(line[0][1] <= line[-1][1] for line in placed.lines)
    assert all(x >= 0 and x + WIDTH <= placed.width and y >= 0 and y + HEIGHT <= placed.height for x, y in corners)


def test_codes_are_counted() -> None:
    codes: Array = np.array([-128, -128, 0, 127], np.int8)
    meter = CodeMeter(-128, 127)
    meter.add(codes)
    found = meter.result()
    assert (found.used, found.at_lowest, found.at_highest) == (3, 0.5, 0.25)
    assert (found.bins[0], found.bins[16], found.bins[31], sum(found.bins)) == (2, 1, 1, 4)


def test_grades() -> None:
    assert [grade(db) for db in (30.0, 29.9, 15.0, 14.9)] == ["good", "fair", "poor", "lost"]


def test_the_commands(verified: tuple[Report, Program], sample_models: Path, tmp_path: Path) -> None:
    report, _ = verified
    data = ["--data", str(sample_models / "digits_test.npz"), "--samples", "5"]
    page = tmp_path / "page.html"
    assert run(["verify", report.float_model, report.integer_model, *data, "--html", str(page)]) == 0
    assert "The network" in page.read_text(encoding="utf-8")
    (tmp_path / "a.json").write_text(report.dumps(), encoding="utf-8")
    (tmp_path / "b.json").write_text(replace(report, integer_model="b.onnx").dumps(), encoding="utf-8")
    assert run(["report", str(tmp_path / "a.json"), "-o", str(page)]) == 0
    assert run(["report", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "-o", str(page)]) == 0
    assert "2 models side by side" in page.read_text(encoding="utf-8")
    model = ["--model", report.float_model]
    assert run(["report", report.integer_model, *model, *data, "-o", str(page)]) == 0


@pytest.mark.parametrize(("content", "code"), [(None, 2), ("{", 5), ("{}", 5)])
def test_reports_that_are_none(content: str | None, code: int, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    assert run(["report", str(path), "-o", str(tmp_path / "page.html")]) == code
    assert not (tmp_path / "page.html").exists()


def test_models_without_their_float_model(verified: tuple[Report, Program], tmp_path: Path) -> None:
    assert run(["report", verified[0].integer_model, "-o", str(tmp_path / "page.html")]) == 2


def test_float_values_are_spread_over_their_range() -> None:
    values: Array = np.concatenate([np.zeros(50), np.linspace(-1, 3, 401)]).astype(np.float32)
    params = QuantParams(np.asarray(2 / 255, np.float32), np.asarray(0), UINT8)
    found = spread_of(Summary.of(values), params)
    assert found is not None and (found.low, found.high) == (-1, 3)
    assert found.chosen == pytest.approx((0.25, 0.75))
    counts = (np.asarray(found.bins) / 100) ** 2
    assert counts.argmax() == 12  # of 48 parts, that which begins at 0 and has the zeros
    # Bins of the summary that lie across two parts are shared out, and roots are rounded.
    assert counts.sum() == pytest.approx(451, rel=0.01)
    assert spread_of(Summary.of(np.zeros(3, np.float32)), params) is None


def test_the_page_draws_what_calibration_saw(verified: tuple[Report, Program], sample_models: Path) -> None:
    report, program = verified
    seen = pipeline.calibrate(sample_models / "digits_se.onnx", str(sample_models / "digits_calib.npz"))
    assert "histogram of the float values" not in report_page(report, program)
    page = report_page(report, program, seen.tensors)
    assert page.count("histogram of the float values") > 20
    assert len(page) < 1_000_000


AXE = Path(__file__).parent.parent.parent / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.mark.parametrize(("kind", "dark"), [("report", False), ("report", True), ("comparison", True)])
def test_accessibility(kind: str, dark: bool, verified: tuple[Report, Program], sample_models: Path, tmp_path: Path) -> None:
    """axe-core finds no violation, whatever its impact."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None or not AXE.exists():
        pytest.skip("no chromium here" if browser is None else "no axe-core here; `make axe` fetches it with npm")
    report, program = verified
    if kind == "report":
        page = report_page(report, program, pipeline.calibrate(sample_models / "digits_se.onnx").tensors)
    else:
        page = comparison_page([report, replace(report, integer_model="other.onnx", cost=replace(report.cost, integer_bytes=9))])
    if dark:
        page = page.replace("prefers-color-scheme: dark", "prefers-color-scheme: light")
    script = AXE.read_text(encoding="utf-8").replace("</script>", "<\\/script>")
    told = """axe.run().then(found => { document.title = "AXE " + found.violations.map(v =>
        v.impact + " " + v.id + " " + v.nodes[0].html).join("; ") + " END" })"""
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", f"<script>{script}</script><script>{told}</script></body>"), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"{path.as_uri()}#n3"]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False).stdout
    found = re.search(r"<title>AXE (.*?) END</title>", dom, re.DOTALL)
    assert found is not None and found[1] == ""


@pytest.mark.parametrize("width", [380, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser(width: int, dark: bool, verified: tuple[Report, Program], tmp_path: Path) -> None:
    """Nothing is wider than the screen, and a chosen layer is shown while the others are not."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium here")
    measure = """<script>onload = () => { document.body.innerHTML = "<pre id='found'>" + JSON.stringify({
        wide: document.documentElement.scrollWidth - innerWidth,
        shown: [...document.querySelectorAll(".detail")].filter(e => e.offsetHeight > 0).length,
        hint: document.querySelector(".hint").offsetHeight }) + "</pre>" }</script>"""
    page = report_page(*verified).replace("</body>", f"{measure}</body>")
    if dark:
        page = page.replace("prefers-color-scheme: dark", "prefers-color-scheme: light")
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},900",
    ]
    dom = subprocess.run(
        [*command, "--dump-dom", f"{path.as_uri()}#n3"], capture_output=True, text=True, timeout=120, check=False
    ).stdout
    assert '{"wide":0,"shown":1,"hint":0}' in dom or '"shown":1,"hint":0' in dom
    assert re.search(r'"wide":-?\d+', dom) is not None and int(re.search(r'"wide":(-?\d+)', dom).group(1)) <= 0  # type: ignore[union-attr]


def test_settings_and_methods_are_told_in_words() -> None:
    origin = Origin(
        settings={"exclude": ["head", "tail/*"], "weight-bits": 6, "integer-only": True},
        calibration={"chosen": {"minmax": ["a", "b"], "mse": ["c"]}, "sha256": "12", "samples": 4, "seed": None},
    )
    assert made_of(origin) == [
        ("--exclude", "head, tail/*"), ("--weight-bits", "6"), ("--integer-only", "true"), ("by minmax", "a, b"), ("by mse", "c"),
        ("calibration, SHA-256", "12"), ("samples", "4"),
    ]  # fmt: skip


def test_a_slower_model_has_a_line_to_try(verified: tuple[Report, Program]) -> None:
    report, program = verified
    cost = replace(report.cost, float_ms=1.0, integer_ms=2.0, faster=Faster("--mode dynamic", "leaves much in float"))
    lines = dict(advice(replace(report, cost=cost), program))
    (reason,) = (reason for reason, line in lines.items() if line.endswith("--mode dynamic"))
    assert reason.startswith("A run takes 2.00 of the float model's time here")
    assert not any("--mode" in line for _, line in advice(replace(report, cost=replace(cost, integer_ms=0.9)), program))


def test_a_page_without_layers_says_so(verified: tuple[Report, Program]) -> None:
    words = Reader(report_page(replace(verified[0], layers=(), layer_samples=0))).words
    assert "Layers were not compared." in words and "No layer loses" not in words and "Layers, by the error" not in words
