"""What a person must change before the work can go on: every message names the thing and what is allowed."""


class TrainingError(Exception):
    """Base of all errors that the command line shows as one sentence instead of a traceback."""


class ConfigError(TrainingError):
    """An experiment that cannot be run as written."""


class DataError(TrainingError):
    """A dataset that is incomplete, damaged or not in a known layout."""


class WeightsError(TrainingError):
    """Pretrained weights that are not on this machine or are not what they should be."""


class CheckpointError(TrainingError):
    """A run or checkpoint that does not fit the model, or could not be saved."""


class OutputError(TrainingError):
    """A place where the result cannot be written."""


class NonFiniteLossError(TrainingError):
    """Training diverged; the last saved state is still good."""
