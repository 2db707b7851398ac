"""Where pipelines run. The runner is always named: Beam's plain DirectRunner would try to download a Prism binary first."""

from __future__ import annotations

import os
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

MODES = {"threads": "multi_threading", "processes": "multi_processing"}


@dataclass(frozen=True)
class Local:
    """Beam's FnApiRunner on this machine."""

    workers: int = 0
    """Number of workers; 0 for one per core that this process may use."""
    mode: str = "threads"
    """`threads`, or `processes` for parts whose extractor holds the interpreter's lock."""

    def pipeline(self) -> beam.Pipeline:
        """A pipeline with this runner."""
        workers = self.workers or len(os.sched_getaffinity(0))
        options = PipelineOptions(
            ["--direct_num_workers", str(workers), "--direct_running_mode", MODES[self.mode]],
            default_sdk_harness_log_level="ERROR",
        )
        return beam.Pipeline(runner=FnApiRunner(), options=options)
