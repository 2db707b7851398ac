"""Entry point of a worker process: Beam's own, which says nothing on the terminal unless something breaks."""

import logging
import sys


def main() -> None:
    """Run Beam's SDK worker, whose settings come from the environment that the runner made."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    logging.basicConfig(handlers=[handler])

    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
