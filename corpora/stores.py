"""Where data may lie, by URL: disks, and buckets whose client is an extra of this package."""

from __future__ import annotations

import contextlib
import traceback

import fsspec
from fsspec import AbstractFileSystem

from corpora.errors import ConfigError, reason

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "abfs": "abfs", "abfss": "abfs", "az": "abfs"}
LOCAL = ("file", "local", "memory")  # memory: for tests
CLIENTS = ("botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "azure")  # raise what is no OSError


def open_url(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a path or URL, and the path in it. No listing is cached: others write there too.

    Names may hold any character: nothing is a chain of URLs, as fsspec would take `::`. Raises ConfigError for a store
    whose client is not installed, for a URL that names no bucket, and for any other store.
    """
    protocol, separator, _ = url.partition("://")
    protocol = protocol if separator else "file"
    if protocol not in LOCAL and protocol not in EXTRAS:
        raise ConfigError(f"{url} is no store that can be used: name a folder, s3://, gs:// or abfs://")
    try:
        store = fsspec.get_filesystem_class(protocol)
        path = store._strip_protocol(url)
        fs = store(use_listings_cache=False, **store._get_kwargs_from_urls(url))
    except ImportError:
        raise ConfigError(f"{url} needs a package more: pip install 'corpus-assay[{EXTRAS[protocol]}]'") from None
    except ValueError as error:
        raise ConfigError(f"{url}: {error}") from None
    if protocol in EXTRAS and not path.partition("/")[0]:
        raise ConfigError(f"{url} names no bucket")
    return fs, path


def check_bucket(url: str) -> None:
    """Raise ConfigError where the bucket of an S3 URL does not exist; for when nothing was found there."""
    fs, path = open_url(url)
    bucket = path.partition("/")[0]
    if hasattr(fs, "call_s3"):
        try:
            fs.call_s3("head_bucket", Bucket=bucket)
        except FileNotFoundError:
            raise ConfigError(f"{url}: the bucket {bucket} does not exist") from None
        except OSError:  # to look at the bucket is a right of its own
            pass


def sentence(error: Exception) -> str | None:
    """What the client of a store has to say, such as that there are no credentials; None for any other error."""
    modules = [type(error).__module__]
    if isinstance(error, ValueError):  # plain ones are theirs where they raised them: of an endpoint that is none
        modules += [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)][-1:]
    if not any(module.partition(".")[0] in CLIENTS for module in modules):
        return None
    if type(error).__name__ == "NoCredentialsError":
        return f"S3: {reason(error)}; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    return reason(error)


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
