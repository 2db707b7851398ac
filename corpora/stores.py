"""Where data may lie, by URL: disks, and buckets whose client is an extra of this package."""

from __future__ import annotations

import contextlib

import fsspec
from fsspec import AbstractFileSystem

from corpora.errors import ConfigError

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "abfs": "abfs", "abfss": "abfs", "az": "abfs"}
CLIENTS = ("botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "azure")  # raise what is no OSError


def open_url(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a path or URL, and the path in it. No listing is cached: others write there too.

    Raises ConfigError for a store whose client is not installed, and for an unknown one.
    """
    protocol = url.partition("://")[0]
    try:
        return fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        if extra := EXTRAS.get(protocol):
            raise ConfigError(f"{url} needs a package more: pip install 'corpus-assay[{extra}]'") from None
        raise ConfigError(f"{url} needs a package more: {error}") from None
    except ValueError as error:
        raise ConfigError(f"{url}: {error}") from None


def sentence(error: Exception) -> str | None:
    """What the client of a store has to say, such as that there are no credentials; None for any other error."""
    if type(error).__module__.partition(".")[0] not in CLIENTS:
        return None
    return " ".join(str(error).split()) or type(error).__name__


def abort_uploads(fs: AbstractFileSystem, folder: str) -> None:
    """Abort what killed writers left of uploads in pieces: S3 keeps and bills them, and shows them nowhere.

    Only for the one writer of a folder. GCS and ABFS forget theirs after a week.
    """
    if not hasattr(fs, "list_multipart_uploads"):
        return
    bucket, key, _ = fs.split_path(folder)
    with contextlib.suppress(OSError):  # the right to list them is one of its own
        for upload in fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{key}/").get("Uploads", ()):
            with contextlib.suppress(FileNotFoundError):  # its writer lives and has just completed it
                fs.abort_mpu(bucket, upload["Key"], upload["UploadId"])
