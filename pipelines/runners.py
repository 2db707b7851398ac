"""Where pipelines run.

The runner is always named: Beam's plain DirectRunner would try to download a Prism binary first.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import watchdog

if TYPE_CHECKING:
    import apache_beam as beam

MODES = ("threads", "processes")


@dataclass(frozen=True)
class Local:
    """Beam's FnApiRunner on this machine."""

    workers: int = 0
    """Number of workers; 0 for one per core that this process may use."""
    mode: str = "threads"
    """`threads`, or `processes` for parts whose extractor holds the interpreter's lock."""

    def pipeline(self, n_tasks: int, folder: Path) -> beam.Pipeline:
        """A pipeline with this runner; in `folder` its worker processes leave their notes.

        Beam is imported here: a run that finds all up to date never needs it.
        """
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
            environment = SubprocessSDKEnvironment.from_command_string(watchdog.command(folder))
        elif workers > 1:
            environment = EmbeddedPythonGrpcEnvironment.default()
        else:
            environment = EmbeddedPythonEnvironment.default()
        options = PipelineOptions(["--direct_num_workers", str(workers)])
        return beam.Pipeline(runner=FnApiRunner(default_environment=environment), options=options)
