from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.metric import load_metric as load_metric

__all__ = ["load_metric"]


def __getattr__(name: str) -> Any:
    """`from training import load_metric` without paying for torch on `import training`."""
    if name == "load_metric":
        from training.metric import load_metric

        return load_metric
    raise AttributeError(f"module 'training' has no attribute {name!r}")
