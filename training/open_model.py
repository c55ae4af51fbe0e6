"""What a person may name as a metric on the command line."""

from pathlib import Path

from training.backbones import PRESETS, open_tower
from training.config import TowerConfig
from training.dreamsim import is_dreamsim_folder
from training.errors import ConfigError
from training.metric import load_model
from training.models import PerceptualModel, merge_lora
from training.run_folder import is_run


def open_model(name: str) -> PerceptualModel:
    """A run, a DreamSim folder, or a bare tower (preset, local folder, hub id), ready for inference."""
    folder = Path(name)
    if is_run(folder) or is_dreamsim_folder(folder):
        return merge_lora(load_model(folder)).eval()
    if not folder.is_dir() and name not in PRESETS and "/" not in name:
        raise ConfigError(
            f"{name} is no metric: name a run's folder, a folder in the DreamSim layout, a tower's folder or "
            f"hub id, or one of the presets {', '.join(PRESETS)}"
        )
    return PerceptualModel([open_tower(TowerConfig(source=name))]).eval()


def name_of(metric: str) -> str:
    """What a metric is called in reports: the last part of its path."""
    return Path(metric).name or Path(metric).resolve().name
