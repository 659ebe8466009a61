"""Claims about the address of a hub."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from holdfast.errors import InvalidUrl, InvalidValue
from holdfast.transport.links import Hub

TOKEN = "hf_secret"


@pytest.mark.parametrize(
    "url",
    ["https://hub.example", "https://hub.example:8787/behind/a/proxy", "http://[::1]:8787", "HTTPS://[2001:db8::1]"],
)
def test_an_address_is_kept_without_its_last_slash(url: str):
    assert Hub(url).url == url
    assert Hub(f"{url}/") == Hub(url)


def test_the_name_of_a_space_is_one_segment_of_the_path():
    assert Hub("https://hub.example/x/").sync_url("plant") == "https://hub.example/x/v1/spaces/plant/sync"
    assert Hub("https://hub.example").sync_url("a/../b?c") == "https://hub.example/v1/spaces/a%2F..%2Fb%3Fc/sync"


def test_a_hub_can_be_printed_without_giving_away_its_token():
    hub = Hub("https://hub.example", TOKEN, ca_file="ca.pem")
    assert repr(hub) == "Hub(url='https://hub.example', ca_file='ca.pem', insecure=False)"
    assert TOKEN not in f"{hub} {hub!r}"
    assert pickle.loads(pickle.dumps(hub)) == hub


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hub.example",
        "hub.example:8787",
        "ftp://hub.example",
        "file:///etc/passwd",
        "http://",
        "https://:8787",
        "https://hub.example:99999",
        "https://hub.example:port",
        "https://[::1",
        "https://hub example",
        "https://hub.example\n",
        f"https://{'x' * 64}.example",
        "https://a..b",
    ],
)
def test_what_is_no_address_is_refused(url: str):
    with pytest.raises(InvalidUrl, match=r"https://hub\.example:8787"):
        Hub(url)


@pytest.mark.parametrize(
    "url", [f"https://me:{TOKEN}@hub.example", f"https://hub.example/?token={TOKEN}", f"https://hub.example/#{TOKEN}"]
)
def test_a_token_in_the_address_is_refused_and_not_repeated(url: str):
    with pytest.raises(InvalidUrl, match="token=") as caught:
        Hub(url)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f"{TOKEN}\r\nX: y", "a b", "ä"])
def test_a_token_with_characters_that_no_token_has_is_refused_and_not_repeated(token: str):
    with pytest.raises(InvalidValue) as caught:
        Hub("https://hub.example", token)
    assert token not in str(caught.value)


def test_a_token_never_travels_unencrypted_without_consent():
    for url in ("http://hub.example", "http://10.0.0.1:8787", "http://localhost.example"):
        with pytest.raises(InvalidUrl, match="insecure=True"):
            Hub(url, TOKEN)
        assert Hub(url, TOKEN, insecure=True).token == TOKEN
        assert Hub(url).token == ""
    for url in ("http://localhost:8787", "http://127.8.0.1", "http://[::1]:8787", "https://hub.example"):
        assert Hub(url, TOKEN).token == TOKEN


def test_naming_a_hub_loads_no_network_library():
    script = "import sys; from holdfast.transport.links import Hub; print('aiohttp' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "False"
