"""The command line of training: each command parses, calls, and says what it made."""

import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from training.console import print_what_a_terminal_lacks, say, show_markdown
from training.errors import TrainingError

HELP = "Turn human judgments of similarity into a perceptual metric, measure it, and look into it."

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help=HELP,
)
console = Console()

MetricName = Annotated[
    str,
    typer.Argument(metavar="METRIC", help="A run's folder, a DreamSim folder, or a tower: preset, folder, hub id."),
]
Data = Annotated[
    Path,
    typer.Option(
        help="An export, a NIGHTS or BAPPS folder, or a CSV of triplets (reference, closer, farther; or "
        "reference, candidate_0, candidate_1, votes_0, votes_1).",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, mps; auto takes the accelerator where there is one.")]
Out = Annotated[Path, typer.Option(help="Folder for the report and its pictures.")]
Cache = Annotated[Path | None, typer.Option(help="Where decoded images are kept. Default: .lookalike/training-cache")]
Split = Annotated[
    str | None,
    typer.Option(
        help="One split: train, val, test, test_imagenet, test_no_imagenet. Default: all rows. JND pairs without "
        "splits are all taken."
    ),
]
MinVotes = Annotated[int, typer.Option(min=0, help="Only triplets with at least so many votes.")]


def main() -> None:
    """Runs a command; what a person must change is said in one sentence, with exit code 1."""
    print_what_a_terminal_lacks()
    warnings.filterwarnings("ignore", module="PIL")  # of metadata that nobody here reads
    try:
        app()
    except (TrainingError, OSError) as error:
        say(Console(stderr=True), ("error:", "bold red"), f" {error}")
        sys.exit(1)


@app.command()
def train(
    experiment: Annotated[Path, typer.Argument(help="A TOML file; see training/experiments/.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the run, new or empty.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")] = False,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Fine-tune a metric on judgments.

    Example: python -m training train training/experiments/nights-dino-lora.toml --data exports/study --out
    runs/first

    Watch it live with: tensorboard --logdir runs. After an interruption, the same command with --resume ends
    with the same weights. Several processes: accelerate launch -m training train …
    """
    from training.config import load_experiment
    from training.model_card import write_model_card
    from training.session import open_session
    from training.train import train as run_training
    from training.validation import verdict
    from training.watch import RunWatcher, counting, draw_curves

    settings = load_experiment(experiment)
    with counting(console, "decoding") as on_decode:
        session = open_session(settings, data, out, device, resume, cache, on_decode)
    main_process = session.accelerator.is_main_process
    if resume and main_process and not session.progress.history:
        say(console, f"Nothing was saved in {out} yet: the run begins.")
    if main_process:
        say(console, f"Validation is on {session.validation}.")
    with RunWatcher(out, settings.train.epochs, session.progress, console, enabled=main_process) as watcher:
        progress = run_training(session, watcher)
    if main_process:
        draw_curves(out, progress.history)
        write_model_card(out, settings, progress)
        say(console, verdict(progress.history))
        say(console, f"The run is in {out}; its README.md says how good it is.")


@app.command()
def evaluate(
    metric: MetricName,
    data: Annotated[Path | None, typer.Option(help="Triplets: an export, NIGHTS, BAPPS, or a CSV.")] = None,
    jnd: Annotated[
        Path | None, typer.Option(help="Same-or-different pairs: an export, a BAPPS JND folder, a CSV.")
    ] = None,
    things: Annotated[Path | None, typer.Option(help="THINGS: a text file of odd-one-out choices.")] = None,
    images: Annotated[Path | None, typer.Option(help="The folder of the images that --things numbers.")] = None,
    out: Out = Path("evaluation"),
    split: Split = None,
    min_votes: MinVotes = 0,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Score a metric against people: with intervals, ceilings, per category, and the cases it gets wrong.

    Example: python -m training evaluate runs/first --data exports/study --split test --out evaluation

    Writes report.md, report.json and confusing.png for each kind of data.
    """
    from training import evaluations
    from training.devices import choose_device
    from training.measures import measure_of
    from training.open_model import name_of, open_model
    from training.outputs import require_folder

    if data is None and jnd is None and (things is None or images is None):
        raise typer.BadParameter("give --data, --jnd, or --things with --images")
    require_folder(out)
    chosen = choose_device(device)
    measure = measure_of(open_model(metric), name_of(metric))
    with evaluations.watched(console) as progress:
        texts = []
        if data:
            texts.append(
                evaluations.on_triplets(measure, data, split, min_votes, out / "2afc", chosen, cache, progress)
            )
        if jnd:
            texts.append(evaluations.on_jnd(measure, jnd, split, out / "jnd", chosen, cache, progress))
        if things and images:
            texts.append(evaluations.on_things(measure, images, things, chosen, cache, progress))
    show_markdown(console, "\n\n".join(texts))
    say(console, f"Written to {out}.")


@app.command()
def compare(
    data: Data,
    metric: Annotated[list[str] | None, typer.Option(help="A run, DreamSim folder or tower; may be repeated.")] = None,
    weights: Annotated[list[Path] | None, typer.Option(help="Folders with AlexNet and VGG weights.")] = None,
    out: Out = Path("comparison"),
    split: Split = None,
    min_votes: MinVotes = 0,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """One table of metrics and every baseline that can run here, and why the others cannot.

    Example: python -m training compare --data exports/study --metric runs/first --metric models/dinov2

    Writes comparison.md and comparison.png.
    """
    from training.baselines import baselines
    from training.compare import compare as run_comparison
    from training.compare import comparison_markdown, draw_comparison
    from training.devices import choose_device
    from training.evaluations import select_triplets
    from training.outputs import require_folder

    require_folder(out)
    triplets = select_triplets(data, split, min_votes, cache)
    openers = baselines(weights or [], metric or [])
    with console.status("comparing") as status:
        result = run_comparison(openers, triplets, choose_device(device), cache, lambda name: status.update(Text(name)))
    out.mkdir(parents=True, exist_ok=True)
    text = comparison_markdown(result)
    (out / "comparison.md").write_text(text, encoding="utf-8")
    draw_comparison(out / "comparison.png", result)
    show_markdown(console, text)
    say(console, f"Written to {out}.")


@app.command()
def attention(
    metric: MetricName,
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("attention.png"),
    device: Device = "auto",
) -> None:
    """Overlay what each tower attends to.

    Example: python -m training attention runs/first photo.jpg other.jpg --out attention.png
    """
    from training.analysis.attention import draw_attention
    from training.devices import choose_device
    from training.metric import Metric
    from training.open_model import open_model
    from training.outputs import require_picture

    require_picture(out)
    model = open_model(metric)
    names = [f"tower {i}: {tower.backbone.config.model_type}" for i, tower in enumerate(model.iter_towers())]
    draw_attention(out, Metric(model, choose_device(device)), images, names)
    say(console, f"Written to {out}.")


@app.command()
def sensitivity(
    metric: MetricName,
    folder: Annotated[Path, typer.Argument(help="A folder with at least two images; thirty say more.")],
    masks: Annotated[Path | None, typer.Option(help="Foreground masks, NAME.png, white on the thing.")] = None,
    limit: Annotated[int, typer.Option(min=2, help="Use at most so many images.")] = 60,
    out: Annotated[Path, typer.Option(help="The chart to write.")] = Path("sensitivity.png"),
    device: Device = "auto",
) -> None:
    """Chart which changes move the metric: colour, flips, crops, layout, foreground and background.

    Example: python -m training sensitivity runs/first photos/ --masks masks/ --out sensitivity.png

    Without --masks the foreground is where the towers attend most.
    """
    import torch

    from training.analysis import sensitivity as analysis
    from training.analysis.image_folder import list_images, read_images
    from training.devices import choose_device
    from training.errors import DataError
    from training.metric import Metric
    from training.open_model import name_of, open_model
    from training.outputs import require_picture

    require_picture(out)
    listed = list_images(folder)[:limit]
    opened = Metric(open_model(metric), choose_device(device))
    left_out: list[str] = []
    files, read = read_images(opened, listed, left_out.append)
    warn_of(left_out)
    if len(files) < 2:
        raise DataError(f"{folder}: {len(files)} images can be read; swaps and the chart's scale need two")
    pixels = torch.stack(read)
    size = opened.model.image_size
    foreground = analysis.read_masks(masks, files, size) if masks else analysis.salient_foreground(opened, pixels)
    measured = analysis.sensitivities(opened, pixels, foreground)
    analysis.draw_sensitivities(out, measured, f"{name_of(metric)}, {len(files)} images")
    for one in measured:
        say(console, f"{one.change:34s} {one.effect}")
    say(console, f"Written to {out}.")


@app.command()
def retrieve(
    metric: MetricName,
    query: Annotated[Path, typer.Argument(help="An image file.")],
    folder: Annotated[Path, typer.Argument(help="The folder to search, with everything below it.")],
    index: Annotated[
        Path | None, typer.Option(help="The index file. Default: lookalike-index.safetensors in FOLDER.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many neighbours.")] = 11,
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("neighbours.png"),
    device: Device = "auto",
) -> None:
    """Find the most similar images of a folder.

    Example: python -m training retrieve runs/first photo.jpg photos/ --count 5

    The first search embeds the folder; later ones read the index and embed what is new.
    """
    import torch

    from training.analysis import retrieval
    from training.analysis.image_folder import list_images
    from training.devices import choose_device
    from training.image_cache import decode
    from training.metric import Metric
    from training.open_model import open_model
    from training.outputs import require_picture
    from training.watch import counting

    index = index or folder / "lookalike-index.safetensors"
    require_picture(out)
    retrieval.check_index(index)
    decode(query, retrieval.SIDE)
    list_images(folder)
    opened = Metric(open_model(metric), choose_device(device))
    with torch.inference_mode():
        wanted = opened.embed(query)[0]
    left_out: list[str] = []
    try:
        with counting(console, "embedding") as progress:
            built = retrieval.update_index(opened, folder, index, progress, left_out.append)
    finally:
        warn_of(left_out)
    for name, distance in built.nearest(wanted, count):
        say(console, f"{distance:.4f}  {name}")
    retrieval.draw_neighbours(out, query, folder, built.nearest(wanted, count))
    say(console, f"Written to {out}.")


def warn_of(left_out: list[str]) -> None:
    """On stderr: each file that was left out, and why."""
    for reason in left_out:
        say(Console(stderr=True), ("left out:", "bold yellow"), f" {reason}")


@app.command()
def invert(
    metric: MetricName,
    target: Annotated[Path, typer.Argument(help="An image file.")],
    steps: Annotated[int, typer.Option(min=1)] = 200,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("inversion.png"),
    device: Device = "auto",
) -> None:
    """Reconstruct an image from noise under the metric alone: what is missing, the metric does not see.

    Example: python -m training invert runs/first photo.jpg --steps 300
    """
    from training.analysis import inversion
    from training.devices import choose_device
    from training.metric import Metric
    from training.open_model import open_model
    from training.outputs import require_picture
    from training.watch import counting

    require_picture(out)
    opened = Metric(open_model(metric), choose_device(device))
    with counting(console, "optimising") as progress:
        result = inversion.invert(opened, opened.preprocess(target), steps, seed, progress)
    inversion.draw_inversion(out, result)
    first, last = result.distances[0], result.distances[-1]
    say(console, f"distance {first:.3f} → {last:.3f}. Written to {out}.")


@app.command("import-dreamsim")
def import_dreamsim(
    folder: Annotated[Path, typer.Argument(help="A folder in the published DreamSim layout.")],
    out: Annotated[Path, typer.Argument(help="Folder of the run to make, new or empty.")],
) -> None:
    """Make a run of a published DreamSim checkpoint, to evaluate it or to look into it.

    Example: python -m training import-dreamsim models/dreamsim runs/dreamsim
    """
    from training.dreamsim import load_dreamsim
    from training.run_folder import check_new, save_as_run

    check_new(out)
    save_as_run(load_dreamsim(folder), out)
    say(console, f"The run is in {out}.")


@app.command("export-dreamsim")
def export_dreamsim(
    run: Annotated[Path, typer.Argument(help="A LoRA run of DINO, CLIP and OpenCLIP ViT-B/16 towers.")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
) -> None:
    """Write a run so that the official DreamSim code loads it, from its ensemble_lora layout.

    Example: python -m training export-dreamsim runs/ensemble models/ours
    """
    from training.dreamsim import export_dreamsim as write_export
    from training.outputs import require_folder
    from training.run_folder import load_run

    require_folder(out)
    write_export(load_run(run), out)
    say(console, f"Written to {out}.")
