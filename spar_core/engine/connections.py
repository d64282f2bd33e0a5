"""HTTP connections to servers: proxies and certificates as the environment names them.

`http_proxy`, `https_proxy` and `no_proxy` (in either case) say which proxy is between us and a
server; addresses of this machine are always asked directly. `SSL_CERT_FILE` and `SSL_CERT_DIR` name
the certificates that are trusted. Nothing is read from `.netrc`, so that a key is only sent where a
command line says so.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import urllib.request
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from spar_core.engine.endpoints import shown
from spar_core.engine.faults import Fault
from spar_core.engine.protocol import EngineGone

KEEP_ALIVE_S = 1.0
"""How long a connection is kept that nothing uses. Servers close idle connections by themselves
(uvicorn after 5 s, gunicorn after 2 s), and a request that meets the closing of one is lost."""

_BUNDLE = "SSL_CERT_FILE"
_LOGIN_WANTED = 407


def open_session(
    url: str, *, headers: Mapping[str, str], timeout: aiohttp.ClientTimeout
) -> aiohttp.ClientSession:
    """Return a session for requests to the server at a URL.

    Args:
        headers: of all its requests; they do not follow where the server sends us.

    Raises:
        EngineGone: the environment names a proxy or certificates that cannot be used.
    """
    proxy, login = proxy_of(url)
    key = {name: value for name, value in headers.items() if name == aiohttp.hdrs.AUTHORIZATION}
    others = {name: value for name, value in headers.items() if name not in key}
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S, ssl=_trusted(url)),
        timeout=timeout,
        headers=key,  # which aiohttp keeps from other servers
        proxy=proxy,
        middlewares=[
            *([_logging_in(login)] if login else []),
            *([_carrying(others, URL(url).origin())] if others else []),
        ],
    )


def _logging_in(login: str) -> aiohttp.ClientMiddlewareType:
    """Send a login to the proxy alone: with the request to open a tunnel, where there is one."""

    async def send(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        fields = CIMultiDict({aiohttp.hdrs.PROXY_AUTHORIZATION: login})
        if request.is_ssl():
            request.proxy_headers = fields
        else:
            request.headers.update(fields)
        return await handler(request)

    return send


def _carrying(headers: Mapping[str, str], origin: URL) -> aiohttp.ClientMiddlewareType:
    """Add headers to requests to one server, and to no other that it redirects them to."""

    async def send(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if request.url.origin() == origin:
            request.headers.update(headers)
        return await handler(request)

    return send


def proxy_of(url: str) -> tuple[str | None, str]:
    """Return the proxy that a server is asked through, None for none, and the login for it.

    Raises:
        EngineGone: the proxy is of a kind that the client does not speak.
    """
    parts = urlsplit(url)
    if is_loopback(parts.hostname or "") or urllib.request.proxy_bypass(parts.netloc):
        return None, ""
    named = urllib.request.getproxies().get(parts.scheme, "")
    if not named:
        return None, ""
    proxy = urlsplit(named if "://" in named else f"http://{named}")
    if proxy.scheme not in ("http", "https"):
        raise EngineGone(
            f"{parts.scheme}_proxy names a proxy of the kind {proxy.scheme}: name one whose URL "
            "begins with http:// or https://"
        )
    name, password = unquote(proxy.username or ""), unquote(proxy.password or "")
    login = aiohttp.encode_basic_auth(name, password) if name or password else ""
    return f"{proxy.scheme}://{proxy.netloc.rpartition('@')[2]}", login


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _trusted(url: str) -> ssl.SSLContext | bool:
    """The certificates that are trusted; a new context reads the environment as it is now."""
    if not url.startswith("https:"):
        return True
    bundle = os.environ.get(_BUNDLE)
    if bundle and not os.path.isfile(bundle):
        raise EngineGone(f"{_BUNDLE} names no file: {bundle}")
    return ssl.create_default_context()


def hopeless(error: Exception, url: str) -> EngineGone | None:
    """Return what to say of a connection that no waiting will bring about, None for any other."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "") or error.certificate_error
        return EngineGone(
            f"the certificate of {shown(url)} is not trusted here ({why}): name the file of the "
            f"certificates that sign it in {_BUNDLE}"
        )
    if isinstance(error, aiohttp.ClientHttpProxyError) and error.status == _LOGIN_WANTED:
        return login_wanted(url)
    return None


def login_wanted(url: str) -> EngineGone:
    """Return what to say of a proxy that wants a name and password, or other ones."""
    scheme = urlsplit(url).scheme
    return EngineGone(
        f"the proxy between here and the engine at {shown(url)} wants a login (HTTP 407): give it "
        f"in {scheme}_proxy, as http://NAME:PASSWORD@HOST:PORT"
    )


def fault_of(error: Exception, url: str) -> Fault | EngineGone:
    """Return what a failed connection means for a request: whether it may be sent again."""
    if gone := hopeless(error, url):
        return gone
    if isinstance(error, aiohttp.ClientHttpProxyError):
        said = f"cannot connect (the proxy answers HTTP {error.status})"
        return Fault(said, busy=True, silent=True, sent=False)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Fault(f"cannot connect ({error})", busy=True, silent=True, sent=False)
    if isinstance(error, TimeoutError):
        return Fault("no answer in time", silent=True)
    return Fault(f"connection lost ({error})")
