"""What goes wrong with a store: the fault of one file, or of whatever every file would meet.

Takes what libraries raise; gives an `OSError` for the first, and for the second a `StoreError`,
which stops a run. No message holds the user, the key or the query of an address.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from safejudge.errors import InputError, StoreError
from safejudge.text import causes, cut, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile of ~/.aws, and for another "
    "service than Amazon's AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`",
    "hf": "HF_TOKEN, or `hf auth login`",
}
"""By scheme, where its library looks for keys."""
BUCKETS = ("s3", "gs")
"""Schemes of which an address begins with a bucket."""


def parted(address: str) -> tuple[str, str]:
    """Part an address into its scheme and the rest."""
    scheme, _, key = address.partition("://")
    return scheme, key


@contextmanager
def asking(address: str) -> Iterator[None]:
    """Part what is wrong with one file, an `OSError`, from what is wrong with the store."""
    try:
        yield
    except (InputError, StoreError):
        raise
    except Exception as error:  # libraries of three makers, and what theirs let through
        problem = fault_of_store(address, error)
        if problem is not None:
            raise problem from None  # what it was raised from may hold keys
        if isinstance(error, FileNotFoundError | IsADirectoryError):
            raise FileNotFoundError(errno.ENOENT, "no such file", address) from error
        if isinstance(error, FileExistsError):
            raise FileExistsError(errno.EEXIST, "there is one already", address) from error
        number = getattr(error, "errno", None) or errno.EIO
        raise OSError(number, _told(error)) from error


_OF_STORE = frozenset((
    *("NoSuchBucket", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "InvalidSecurity"),
    *("SignatureDoesNotMatch", "TokenRefreshRequired", "RequestTimeTooSkewed", "AllAccessDisabled"),
    *("AccountProblem", "NotSignedUp", "SlowDown", "ServiceUnavailable", "InternalError"),
    *("PermanentRedirect", "AuthorizationHeaderMalformed", "500", "502", "503", "504"),
))  # fmt: skip
"""What S3 answers where every file would be answered so."""
_OF_ONE = (
    FileNotFoundError, FileExistsError, IsADirectoryError, PermissionError, ValueError,
)  # fmt: skip
_OF_FILE = (errno.EINVAL, errno.ENAMETOOLONG, errno.EPERM, errno.EACCES, errno.ENOSPC)


def fault_of_store(address: str, error: BaseException) -> StoreError | None:
    """Return the error that stops a run; None where the fault is one file's."""
    scheme, _ = parted(address)
    code, name = code_of(error), type(error).__name__
    if "NoCredentials" in name or name == "PartialCredentialsError":
        return StoreError(f"{address}: no keys for {scheme}:// ({_told(error)}); set "
                          f"{KEYS[scheme]}")  # fmt: skip
    if code == "NoSuchBucket":
        return no_bucket(address)
    if code not in _OF_STORE:
        if isinstance(error, _OF_ONE):
            return None
        if name == "ParamValidationError" or getattr(error, "errno", None) in _OF_FILE:
            return None
    return StoreError(
        f"{address}: the store cannot be asked ({_told(error)}); check the network, the endpoint "
        f"and the keys ({KEYS[scheme]})"
    )


def no_bucket(address: str) -> StoreError:
    """Say that what an address begins with is not there."""
    return StoreError(
        f"{address}: there is no bucket {parted(address)[1].partition('/')[0]}; check its name"
    )


def code_of(error: BaseException) -> str:
    """Return what S3 calls an error, else an empty text."""
    for cause in causes(error):
        response = getattr(cause, "response", None)
        about = response.get("Error") if isinstance(response, dict) else None
        if isinstance(about, dict):
            return str(about.get("Code", ""))
    return ""


_ADDRESS = re.compile(
    r"([a-z][a-z0-9+.-]*://)(?:[^\s/@'\"]*@)?([^\s?'\"]*)(\?[^\s'\"]*)?", re.IGNORECASE
)


def _told(error: BaseException) -> str:
    """Say what a library says, without users, keys and queries of addresses."""
    text = one_line(str(error)) or type(error).__name__
    for name, value in os.environ.items():
        if len(value) >= 8 and re.search(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL", name):
            text = text.replace(value, "...")
    text = re.sub(r"\b(AKIA|ASIA)[A-Z0-9]{8,}", "...", text)  # of a file of keys
    return cut(_ADDRESS.sub(lambda match: match[1] + match[2] + ("?..." if match[3] else ""), text))
