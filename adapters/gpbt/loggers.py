"""Watchers that write a run to TensorBoard, MLflow, Weights & Biases, CSV or JSON lines."""

from gpbt_adapters.showing.loggers import CsvLog, JsonLines, MlflowLog, TensorBoardLog, WandbLog

__all__ = [
    "CsvLog",
    "JsonLines",
    "MlflowLog",
    "TensorBoardLog",
    "WandbLog",
]
