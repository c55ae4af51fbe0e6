"""Where to compute, and in which precision."""

import ctypes
import sys

import torch

from training.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """ "auto" is the accelerator where there is one, else the CPU.

    Raises ConfigError for one that is not here.
    """
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        available = torch.accelerator.current_accelerator(check_available=True)
        allowed = "auto, cpu" + (f", {available.type}" if available else "")
        raise ConfigError(f"device {name!r} is not available here; available are: {allowed}") from None
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 natively; emulated, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # AVX-512 alone lets oneDNN accept bfloat16, but it then converts to float32 and back
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device.type == "cpu" and bool(native)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def keep_freed_memory() -> None:
    """Lets glibc keep the memory of freed tensors for the next ones, for the life of this process.

    By default every large tensor is mapped anew and its pages zeroed by the kernel: a quarter of a float32
    training step on a CPU.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
