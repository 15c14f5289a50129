"""Makes a container in a blob server that speaks Azure's protocol.

    azurite.py http://127.0.0.1:PORT CONTAINER

Signs with the well-known account of the emulator: it protects nothing.
"""

import base64
import hashlib
import hmac
import sys
import urllib.error
import urllib.request
from email.utils import formatdate

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def main(endpoint, container):
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    # Verb, eleven standard headers that are not sent, then what is signed.
    lines = ["PUT", *[""] * 11, *[f"{name}:{headers[name]}" for name in sorted(headers)]]
    lines += [f"/{ACCOUNT}/{ACCOUNT}/{container}", "restype:container"]
    digest = hmac.new(base64.b64decode(KEY), "\n".join(lines).encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    url = f"{endpoint}/{ACCOUNT}/{container}?restype=container"
    request = urllib.request.Request(url, data=b"", method="PUT", headers=headers)
    request.add_header("Content-Type", "")
    urllib.request.urlopen(request, timeout=30).close()


main(*sys.argv[1:])
