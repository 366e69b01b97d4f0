"""The Storage API as measured: every error is HTTP 400 with the true status in its body, except those of TUS.

The rest follows the sources: supabase/storage (routes, renderer, tus/lifecycle.ts), tus/tus-node-server.
"""

import base64
import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote
from uuid import uuid4

import jwt

from cogo_dagster_tests.supabase.objects import (
    CHUNK_BYTES,
    GLOBAL_LIMIT_BYTES,
    LIST_LIMIT,
    URL_KEY,
    Bucket,
    Request,
    StorageError,
    Stored,
    Upload,
    as_json,
    check_content_type,
    check_key,
    duplicate,
    no_bucket,
    no_object,
    rejected_by_rls,
    role_of,
    row_of,
    too_large,
)
from cogo_dagster_tests.supabase.responses import RawResponse


class Storage:
    """Buckets and objects in memory. Thread-safe.

    Attributes:
        whole_etags: Whether an ETag is the MD5; else it is arbitrary, as after an upload in parts.
        has_list_v2: Whether the server has the newer listing.
        spoil: Changes the stored bytes, for tests of the verification.
        torn_parts: How many bytes of each of the next parts are kept before the part fails.
        keeps_parts: Whether a part that was accepted is kept.
        undeletable: Objects because of which a whole delete request is rejected.
        lost_ends: How many of the next uploads in parts are complete but do not become an object.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # A new project has a private bucket.
        self.buckets: dict[str, Bucket] = {"artifacts": Bucket("artifacts")}
        self.uploads: dict[str, Upload] = {}
        self.whole_etags = True
        self.has_list_v2 = True
        self.spoil: Callable[[bytes], bytes] = bytes
        self.torn_parts: list[int] = []
        self.lost_ends = 0
        self.keeps_parts = True
        self.undeletable: set[str] = set()

    def answer(self, request: Request) -> RawResponse:
        """Return the response to one request; the path begins after /storage/v1."""
        try:
            with self._lock:
                return self._route(request)
        except StorageError as error:
            body = b"" if request.method == "HEAD" else json.dumps(error.document).encode()
            return RawResponse(error.http, body, (("content-type", "application/json; charset=utf-8"),))

    def _route(self, request: Request) -> RawResponse:
        first, _, rest = request.path.lstrip("/").partition("/")
        if first == "bucket":
            return self._bucket(request, rest)
        if first == "upload":
            # The key is checked before TUS, so it is rejected as everywhere else.
            return self._resumable(request, role_of(request), rest.removeprefix("resumable").lstrip("/"))
        verb, _, name = rest.partition("/")
        if verb == "sign" and request.method == "GET":
            return self._signed_object(request, name)
        if verb == "public":
            return self._public_object(request, name)
        role = role_of(request)
        special = verb in ("list", "list-v2", "sign", "info", "authenticated")
        return self._verb(request, role, verb, name) if special else self._plain(request, role, rest)

    def _plain(self, request: Request, role: str, path: str) -> RawResponse:
        if request.method in ("POST", "PUT"):
            return self._upload(request, role, path)
        if request.method == "DELETE":
            return self._remove(request, role, path)
        return self._object(request, role, path)

    def _verb(self, request: Request, role: str, verb: str, name: str) -> RawResponse:
        if verb == "list":
            return self._list(request, role, name)
        if verb == "list-v2" and self.has_list_v2:
            return self._list_v2(request, role, name)
        if verb == "sign":
            return self._sign(request, role, name)
        if verb == "info":
            return self._info(role, name)
        if verb == "authenticated":
            return self._object(request, role, name)
        raise no_bucket()  # an older server takes it for an upload into a bucket `list-v2`

    def _bucket(self, request: Request, rest: str) -> RawResponse:
        role = role_of(request)
        if request.method == "POST" and not rest:
            given = request.json
            if role != "service_role":
                raise rejected_by_rls()
            if given["id"] in self.buckets:
                raise duplicate("BucketAlreadyExists")
            limit, types = given.get("file_size_limit"), given.get("allowed_mime_types")
            self.buckets[given["id"]] = Bucket(given["id"], bool(given.get("public")), limit, types)
            return as_json({"name": given["id"]})
        bucket = self._found_bucket(rest.partition("/")[0], role)
        if request.method == "DELETE":
            if bucket.objects:
                raise StorageError(
                    "409", "InvalidRequest", "The bucket you tried to delete is not empty", "ResourceNotEmpty"
                )
            del self.buckets[bucket.id]
            return as_json({"message": "Successfully deleted"})
        types, limit = bucket.allowed_mime_types, bucket.file_size_limit
        settings = {"public": bucket.public, "allowed_mime_types": types, "file_size_limit": limit}
        return as_json({"id": bucket.id, "name": bucket.id, **settings})

    def _found_bucket(self, name: str, role: str) -> Bucket:
        if name not in self.buckets or role != "service_role":
            raise no_bucket()
        return self.buckets[name]

    def _found(self, path: str, role: str) -> Stored:
        # A missing bucket is reported as a missing object: routes and releases differ in this.
        bucket, _, key = path.partition("/")
        found = self.buckets[bucket].objects.get(key) if bucket in self.buckets else None
        if found is None or role != "service_role":
            raise no_object()
        return found

    def _upload(self, request: Request, role: str, path: str) -> RawResponse:
        bucket, _, key = path.partition("/")
        upsert = request.headers.get("x-upsert") == "true" or request.method == "PUT"
        metadata = request.headers.get("x-metadata")
        stored = Stored(
            self.spoil(request.body),
            request.headers.get("content-type", "text/plain;charset=UTF-8"),
            request.headers.get("cache-control", "no-cache"),
            json.loads(base64.b64decode(metadata)) if metadata else None,
        )
        self._store(bucket, key, stored, role, upsert=upsert)
        return as_json({"Id": stored.id, "Key": path})

    def _store(self, name: str, key: str, stored: Stored, role: str, *, upsert: bool) -> None:
        if name not in self.buckets:
            raise no_bucket()
        check_key(key)
        bucket = self.buckets[name]
        if role != "service_role":
            raise rejected_by_rls()
        if len(stored.data) > min(bucket.file_size_limit or GLOBAL_LIMIT_BYTES, GLOBAL_LIMIT_BYTES):
            raise too_large()
        check_content_type(bucket, stored.content_type)
        if key in bucket.objects and not upsert:
            raise duplicate("KeyAlreadyExists")
        bucket.objects[key] = stored

    def _object(self, request: Request, role: str, path: str) -> RawResponse:
        return self._sent(request, self._found(path, role))

    def _sent(self, request: Request, found: Stored, download: str | None = None) -> RawResponse:
        etag = found.etag if self.whole_etags else '"18f2a-9"'
        headers = [
            ("content-type", "text/plain" if "text/html" in found.content_type.lower() else found.content_type),
            ("etag", etag),
            ("cache-control", found.cache_control),
            ("accept-ranges", "bytes"),
        ]
        if download is not None:
            name = quote(download, safe="")
            headers.append(("content-disposition", f"attachment; filename={name}; filename*=UTF-8''{name};"))
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if wanted:
            first, last = int(wanted[1]), int(wanted[2] or len(found.data) - 1)
            headers.append(("content-range", f"bytes {first}-{last}/{len(found.data)}"))
            return RawResponse(206, found.data[first : last + 1], tuple(headers))
        return RawResponse(200, found.data, tuple(headers))

    def _info(self, role: str, path: str) -> RawResponse:
        found = self._found(path, role)
        return as_json(
            {
                "id": found.id,
                "name": path.partition("/")[2],
                "size": len(found.data),
                "content_type": found.content_type,
                "cache_control": found.cache_control,
                "etag": found.etag,
                "metadata": found.metadata,
                "created_at": found.created_at.isoformat(),
            }
        )

    def _remove(self, request: Request, role: str, path: str) -> RawResponse:
        if "/" in path:
            found = self._found(path, role)
            bucket, _, key = path.partition("/")
            del self.buckets[bucket].objects[key]
            return as_json({"message": "Successfully deleted", "id": found.id})
        bucket_ = self._found_bucket(path, role)
        if self.undeletable & set(request.json["prefixes"]):
            raise StorageError("400", "InvalidRequest", "The object cannot be deleted", "InvalidRequest")
        gone = [key for key in request.json["prefixes"] if bucket_.objects.pop(key, None)]
        return as_json([{"name": key, "bucket_id": path} for key in gone])

    def _list(self, request: Request, role: str, name: str) -> RawResponse:
        bucket = self.buckets.get(name)
        if bucket is None or role != "service_role":
            return as_json([])
        given = request.json
        prefix = given.get("prefix", "").strip("/")
        below = f"{prefix}/" if prefix else ""
        rows: dict[str, Any] = {}
        for key, stored in sorted(bucket.objects.items()):
            if key.startswith(below):
                head, _, more = key[len(below) :].partition("/")
                rows[head] = row_of(head, None) if more else row_of(head, stored)
        offset, limit = given.get("offset", 0), given.get("limit", LIST_LIMIT)
        return as_json(list(rows.values())[offset : offset + limit])

    def _list_v2(self, request: Request, role: str, name: str) -> RawResponse:
        bucket = self.buckets.get(name)
        if bucket is None or role != "service_role":
            return as_json({"hasNext": False, "folders": [], "objects": []})
        given = request.json
        after = base64.b64decode(given.get("cursor", "")).decode()
        limit = min(given.get("limit", 1_000), 1_000)
        keys = [key for key in sorted(bucket.objects) if key.startswith(given.get("prefix", "")) and key > after]
        page = keys[:limit]
        answer: dict[str, Any] = {"hasNext": len(keys) > limit, "folders": []}
        answer["objects"] = [row_of(key, bucket.objects[key]) for key in page]
        if answer["hasNext"]:
            answer["nextCursor"] = base64.b64encode(page[-1].encode()).decode()
        return as_json(answer)

    def _sign(self, request: Request, role: str, path: str) -> RawResponse:
        bucket = path.partition("/")[0]
        if bucket not in self.buckets:
            raise no_object()
        self._found(path, role)
        seconds = int(request.json["expiresIn"])
        if seconds < 1:
            raise StorageError("400", "Error", "body/expiresIn must be >= 1", "InvalidRequest")
        now = int(time.time())
        token = jwt.encode({"url": path, "iat": now, "exp": now + seconds}, URL_KEY, algorithm="HS256")
        return as_json({"signedURL": f"/object/sign/{quote(path)}?token={token}"})

    def _signed_object(self, request: Request, path: str) -> RawResponse:
        given = dict(parse_qsl(request.query, keep_blank_values=True))
        if "token" not in given:
            raise StorageError("400", "Error", "querystring must have required property 'token'", "InvalidRequest")
        try:
            claims = jwt.decode(given["token"], URL_KEY, algorithms=["HS256"])
        except jwt.ExpiredSignatureError:
            raise StorageError("400", "InvalidJWT", '"exp" claim timestamp check failed', "InvalidJWT") from None
        except jwt.InvalidTokenError:
            raise StorageError("400", "InvalidJWT", "signature verification failed", "InvalidJWT") from None
        if claims["url"] != path:
            raise StorageError("400", "InvalidSignature", "The url do not match the signature", "InvalidSignature")
        download = given.get("download")
        found = self._found(path, "service_role")
        return self._sent(request, found, download or path.rpartition("/")[2] if download is not None else None)

    def _public_object(self, request: Request, path: str) -> RawResponse:
        bucket = self.buckets.get(path.partition("/")[0])
        if bucket is None or not bucket.public:
            raise no_bucket()
        return self._sent(request, self._found(path, "service_role"))

    def _resumable(self, request: Request, role: str, upload_id: str) -> RawResponse:
        if not request.headers.get("tus-resumable"):
            return RawResponse(412, b"Tus-Resumable Required\n")
        try:
            return self._tus(request, role, upload_id)
        except StorageError as error:
            return RawResponse(int(error.document["statusCode"]), str(error).encode())

    def _tus(self, request: Request, role: str, upload_id: str) -> RawResponse:
        if request.method == "POST" and not upload_id:
            return self._begin(request, role)
        upload = self.uploads.get(upload_id)
        if upload is None:
            return RawResponse(404, b"The file for this url was not found\n")
        offset = (("upload-offset", str(len(upload.data))), ("tus-resumable", "1.0.0"))
        if request.method == "HEAD":
            return RawResponse(200, b"", (*offset, ("upload-length", str(upload.length))))
        return self._append(request, role, upload)

    def _begin(self, request: Request, role: str) -> RawResponse:
        given = dict(pair.split(" ", 1) for pair in request.headers.get("upload-metadata", "").split(",") if pair)
        metadata = {name: base64.b64decode(value).decode() for name, value in given.items()}
        bucket, name = metadata.get("bucketName", ""), metadata.get("objectName", "")
        length = int(request.headers["upload-length"])
        check_key(name)
        if bucket not in self.buckets:
            raise no_bucket()
        if role != "service_role":
            raise rejected_by_rls()
        if length > min(self.buckets[bucket].file_size_limit or GLOBAL_LIMIT_BYTES, GLOBAL_LIMIT_BYTES):
            return RawResponse(413, b"Maximum size exceeded\n")
        upsert = request.headers.get("x-upsert") == "true"
        if name in self.buckets[bucket].objects and not upsert:
            raise duplicate("KeyAlreadyExists")
        if content_type := metadata.get("contentType"):
            check_content_type(self.buckets[bucket], content_type)
        upload_id = base64.urlsafe_b64encode(f"{bucket}/{name}/{uuid4()}".encode()).decode().rstrip("=")
        self.uploads[upload_id] = Upload(bucket, name, length, metadata)
        # The server's own address: without the gateway's prefix and, in production, not plain http.
        location = f"https://storage.internal/upload/resumable/{upload_id}"
        return RawResponse(201, b"", (("location", location), ("tus-resumable", "1.0.0")))

    def _append(self, request: Request, role: str, upload: Upload) -> RawResponse:
        upsert = request.headers.get("x-upsert") == "true"
        if upload.name in self.buckets[upload.bucket].objects and not upsert:
            raise duplicate("KeyAlreadyExists")
        if request.headers.get("content-type") != "application/offset+octet-stream":
            return RawResponse(415, b"Content-Type must be application/offset+octet-stream")
        if int(request.headers["upload-offset"]) != len(upload.data):
            return RawResponse(409, b"Upload-Offset conflict\n")
        if len(request.body) != CHUNK_BYTES and len(upload.data) + len(request.body) != upload.length:
            return RawResponse(400, b"All parts but the last must have 6 MiB")
        if self.torn_parts:
            upload.data.extend(request.body[: self.torn_parts.pop(0)])
            return RawResponse(500, b"Something went wrong receiving the file\n")
        if self.keeps_parts:
            upload.data.extend(request.body)
        if len(upload.data) == upload.length and self.lost_ends:
            self.lost_ends -= 1
            return RawResponse(423, b"The resource is locked")
        if len(upload.data) == upload.length:
            stored = Stored(
                self.spoil(bytes(upload.data)),
                upload.metadata.get("contentType", "application/octet-stream"),
                f"max-age={upload.metadata.get('cacheControl', '0')}",
                json.loads(upload.metadata.get("metadata", "null")),
            )
            self._store(upload.bucket, upload.name, stored, role, upsert=upsert)
        return RawResponse(204, b"", (("upload-offset", str(len(upload.data))), ("tus-resumable", "1.0.0")))
