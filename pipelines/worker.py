"""Entry point of a worker process: Beam's own, which says nothing on the terminal unless something breaks."""

import logging
import sys
from pathlib import Path

from pipelines import watchdog


def main() -> None:
    """Run Beam's SDK worker, whose settings come from the environment that the runner made.

    Arguments: the process number of the driver, and the note that is taken away at an orderly end.
    """
    driver, note = int(sys.argv[1]), Path(sys.argv[2])
    watchdog.end_with(driver)
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    logging.basicConfig(handlers=[handler])

    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
    note.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
