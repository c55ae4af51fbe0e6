import csv
import json
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.conftest import draw_images
from training import contact_sheet
from training.baselines import baselines, random_network
from training.compare import compare, comparison_markdown, draw_comparison
from training.contact_sheet import draw_contact_sheet, most_confusing
from training.data import read_triplets
from training.evaluate import evaluate_jnd, evaluate_odd_one_out, evaluate_triplets, summarise
from training.evaluations import on_triplets
from training.jnd import read_jnd
from training.measures import PairMeasure, measure_of
from training.open_model import open_model
from training.pixel_metrics import psnr_distance
from training.progress import silent
from training.report import jnd_markdown, two_afc_markdown
from training.things import read_things
from training.triplets import Triplets

CPU = torch.device("cpu")
PSNR = PairMeasure("PSNR", 32, psnr_distance)


def size_of(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as image:
        return image.size


def test_a_metric_that_sees_near_copies_agrees_with_people(steady_export: Path, tmp_path: Path) -> None:
    result = evaluate_triplets(PSNR, read_triplets(steady_export), CPU, tmp_path)
    assert result.shares.value == 1.0
    assert result.groups["ImageNet categories"].n == 8
    assert set(result.categories) == {"thing 0", "thing 1"}
    assert result.ceilings["two different people (unbiased)"] == 1.0
    text = two_afc_markdown(result)
    assert "22 triplets cannot tell two methods apart by less than about 8 points" in text
    assert "| thing 0 | 11 | 100.0 %" in text


def test_split_votes_ties_and_majority(steady_export: Path) -> None:
    triplets = read_triplets(steady_export)
    split = replace(triplets, targets=np.resize(np.float32([0.25, 0.5, 1.0]), len(triplets)))
    distances = np.tile([0.1, 0.2], (len(triplets), 1))  # always candidate 0
    result = summarise("constant", split, distances)
    assert result.ties == 7
    assert result.shares.value == pytest.approx(np.mean(1 - split.targets))
    assert result.majority is not None
    assert result.majority.value == pytest.approx(8 / 15)
    best = np.mean([max(share, 1 - share) for share in split.targets])
    assert result.ceilings["the best possible metric (oracle)"] == pytest.approx(best)


def test_distances_are_those_of_each_row(steady_export: Path, tmp_path: Path) -> None:
    triplets = read_triplets(steady_export)
    result = evaluate_triplets(PSNR, triplets, CPU, tmp_path)
    row = 5
    reference, zero, one = (np.asarray(Image.open(triplets.images[i])) / 255 for i in triplets.indices[row])
    wanted = [np.mean((reference - zero) ** 2), np.mean((reference - one) ** 2)]
    np.testing.assert_allclose(result.distances[row], wanted, rtol=1e-5)


def test_a_report_tells_its_triplets_from_others_wherever_they_lie(steady_export: Path, tmp_path: Path) -> None:
    """By images and votes: not by the folder's name, nor by the order of its rows."""

    def told(triplets: Triplets) -> str | None:
        return evaluate_triplets(PSNR, triplets, CPU, tmp_path / "cache").triplets_sha256

    triplets = read_triplets(steady_export)
    moved = read_triplets(shutil.copytree(steady_export, tmp_path / "elsewhere"))
    assert told(moved) == told(triplets)
    turned = replace(triplets, indices=triplets.indices[::-1], targets=triplets.targets[::-1])
    assert told(turned) == told(triplets)
    assert told(replace(triplets, targets=1 - triplets.targets)) != told(triplets)
    assert told(triplets.rows(np.arange(len(triplets)) > 0)) != told(triplets)


def test_the_real_tower_on_real_votes(shared: Path, tmp_path: Path) -> None:
    """The first eight triplets; of all sixty this tower agrees with people on 76.7 %."""
    with (shared / "data/nights60/data.csv").open(newline="") as file:
        header, *rows = list(csv.reader(file))
    columns = [header.index(name) for name in ("ref_path", "left_path", "right_path")]
    for path in (row[column] for row in rows[:8] for column in columns):
        (tmp_path / "eight" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shared / "data/nights60" / path, tmp_path / "eight" / path)
    with (tmp_path / "eight/data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows[:8]])

    measure = measure_of(open_model(str(shared / "models/dinov2-small")), "tower")
    text = on_triplets(measure, tmp_path / "eight", None, 0, tmp_path / "out", CPU, tmp_path, silent)
    assert "| with the vote shares | 75.0 % [" in text
    assert "8 triplets cannot tell two methods apart by less than about 31 points" in text
    assert json.loads((tmp_path / "out/report.json").read_text())["shares"]["n"] == 8
    assert size_of(tmp_path / "out/confusing.png")[0] > 500


def test_confusing_cases_are_sure_and_wrong(steady_export: Path, tmp_path: Path) -> None:
    triplets = read_triplets(steady_export)
    distances = np.tile([0.1, 0.2], (len(triplets), 1))
    distances[7] = [0.01, 0.9]  # people chose candidate 1 of the odd items
    distances[3] = [0.4, 0.5]
    result = summarise("constant", triplets, distances)
    worst = most_confusing(result, 3)
    assert worst[0] == 7
    assert all(triplets.targets[worst] == 1)
    assert 3 not in worst
    draw_contact_sheet(tmp_path / "sheet.png", result, triplets, worst)
    assert size_of(tmp_path / "sheet.png")[1] > 500


def test_compare_ranks_what_runs_and_explains_the_rest(steady_export: Path, tmp_path: Path) -> None:
    triplets = read_triplets(steady_export)
    every = baselines([tmp_path], [])
    openers = {name: every[name] for name in ("PSNR", "colour histogram", "LPIPS (AlexNet)", "DISTS")}
    comparison = compare(openers, triplets, CPU, tmp_path / "cache")
    values = [row.result.shares.value for row in comparison.rows]
    assert values == sorted(values, reverse=True)
    assert comparison.rows[0].behind is None
    assert set(comparison.missing) == {"LPIPS (AlexNet)", "DISTS"}
    text = comparison_markdown(comparison)
    assert f"put https://download.pytorch.org/models/vgg16-397923af.pth into {tmp_path} or" in text
    draw_comparison(tmp_path / "table.png", comparison)
    assert size_of(tmp_path / "table.png")[0] > 500


def test_the_random_network_is_the_same_every_time() -> None:
    images = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(random_network().embed(images), random_network().embed(images))


def test_jnd_reports_identical_pairs_apart(shared: Path, tmp_path: Path) -> None:
    pairs = read_jnd(shared / "data/jnd30")
    result = evaluate_jnd(PairMeasure("PSNR", 299, psnr_distance), pairs, CPU, tmp_path)
    assert result.identical == result.tied == 10
    assert result.altered_pairs is not None
    assert result.altered_pairs.n == 20
    assert result.altered_pairs.value < result.all_pairs.value
    assert "10 pairs are identical files" in jnd_markdown(result)


def test_things_choices(tmp_path: Path) -> None:
    near, far = draw_images(0, 2)
    for number, pixels in enumerate((near, near // 2 + 60, far)):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "choices.txt").write_text("0 1 2\n0 2 1\n")
    score = evaluate_odd_one_out(PSNR, read_things(tmp_path, tmp_path / "choices.txt"), CPU, tmp_path / "cache")
    assert score.value == 0.5


def test_the_title_of_the_confusing_cases_stands_over_their_captions(
    steady_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    triplets = read_triplets(steady_export)
    named = replace(triplets, categories=np.full(len(triplets), "a category with a name longer than its image $x_1"))
    result = summarise("a measure", named, np.tile([0.1, 0.2], (len(triplets), 1)))
    kept = []
    monkeypatch.setattr(contact_sheet.plt, "close", kept.append)
    draw_contact_sheet(tmp_path / "sheet.png", result, named, most_confusing(result, 3))
    (figure,) = kept
    captions = [axis.title.get_window_extent() for axis in figure.axes]
    title = figure.get_suptitle()
    assert title.startswith("a measure: sure")
    assert figure._suptitle.get_window_extent().y0 >= max(caption.y1 for caption in captions)
    assert not any(one.overlaps(other) for one, other in combinations(captions, 2))
