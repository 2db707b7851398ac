"""Where pipelines run.

The runner is always named: Beam's plain DirectRunner would try to download a Prism binary first.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apache_beam as beam

MODES = ("threads", "processes")

# Ctrl-C in a terminal reaches every process of it: workers leave it to the driver. -P: nothing from the user's folder.
WORKER = f"trap '' INT; exec {shlex.quote(sys.executable)} -P -m pipelines.worker"


@dataclass(frozen=True)
class Local:
    """Beam's FnApiRunner on this machine."""

    workers: int = 0
    """Number of workers; 0 for one per core that this process may use."""
    mode: str = "threads"
    """`threads`, or `processes` for parts whose extractor holds the interpreter's lock."""

    def pipeline(self, n_tasks: int) -> beam.Pipeline:
        """A pipeline with this runner. Beam is imported here: a run that finds all up to date never needs it."""
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner
        from apache_beam.transforms.environments import (
            EmbeddedPythonEnvironment,
            EmbeddedPythonGrpcEnvironment,
            SubprocessSDKEnvironment,
        )

        workers = min(n_tasks, self.workers or len(os.sched_getaffinity(0)))
        if self.mode == "processes":
            environment = SubprocessSDKEnvironment.from_command_string(WORKER)
        elif workers > 1:
            environment = EmbeddedPythonGrpcEnvironment.default()
        else:
            environment = EmbeddedPythonEnvironment.default()
        options = PipelineOptions(["--direct_num_workers", str(workers)])
        return beam.Pipeline(runner=FnApiRunner(default_environment=environment), options=options)
