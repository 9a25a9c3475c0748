"""The explorer's server: what it answers, to whom, and the site that it exports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from bitwright.errors import UsageError
from bitwright.explorer import app, exhibits
from bitwright.explorer.exhibits import Documents, Exhibit
from bitwright.explorer.export import export
from bitwright.explorer.subject import Subject
from bitwright.server import listening

SOME = {name: exhibits.EXHIBITS[name] for name in ("site", "elements")}
NOT_ITS_HOST = ["evil.example", "evil.example:8484", "127.0.0.1", "127.0.0.1:80", "localhost.evil.example:8484", ""]
NOT_ITS_ORIGIN = ["http://evil.example", "null", "http://127.0.0.1:8485", "https://127.0.0.1:8484", "file://"]
ELSEWHERE = ["/../pyproject.toml", "/%2e%2e/app.py", "/..%2fapp.py", "/data/../../app.py", "//etc/passwd", "/%00"]


@pytest.fixture(scope="module")
def small(stories260k: Path) -> Documents:
    return Documents(Subject(stories260k, "stories260K"), SOME)


@pytest.fixture(scope="module")
def client(small: Documents) -> TestClient:
    return TestClient(app.application(small, 8484), base_url="http://127.0.0.1:8484")


def test_pages_and_documents_are_served(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200 and "app.js" in page.text
    assert client.get("/app.js").headers["content-type"].startswith("text/javascript")
    found = client.get("/data/site.json").json()
    assert found["model"]["name"] == "stories260K" and found["live"] is True


@pytest.mark.parametrize("path", ["/", "/app.js", "/data/site.json", "/data/none.json", "/none"])
def test_every_answer_carries_the_policy(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", NOT_ITS_HOST)
def test_other_hosts_are_refused(client: TestClient, host: str) -> None:
    assert client.get("/data/site.json", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("origin", NOT_ITS_ORIGIN)
def test_other_origins_are_refused(client: TestClient, origin: str) -> None:
    assert client.get("/data/site.json", headers={"origin": origin}).status_code == 403


def test_its_own_origin_is_not_refused(client: TestClient) -> None:
    for name in ("127.0.0.1", "localhost", "[::1]"):
        headers = {"host": f"{name}:8484", "origin": f"http://{name}:8484"}
        assert client.get("/data/site.json", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ELSEWHERE)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_document_is_made_once(stories260k: Path) -> None:
    made: list[str] = []

    def view(subject: Subject, key: str) -> dict[str, object]:
        made.append(key)
        return {"key": key}

    documents = Documents(Subject(stories260k, "m"), {"one": Exhibit(view, lambda s: ("a", "b"))})
    assert documents["one/a"] == documents["one/a"] == {"key": "a"} and made == ["a"]
    assert list(documents.names()) == ["one/a", "one/b"]


def test_a_key_must_be_a_safe_name(stories260k: Path) -> None:
    documents = Documents(Subject(stories260k, "m"), {"one": Exhibit(lambda s, k: {}, lambda s: ("../x",))})
    with pytest.raises(UsageError, match=r"'../x' cannot be the name of a file"):
        list(documents.names())


def test_a_taken_port_is_said() -> None:
    with listening.listen("127.0.0.1", 0) as taken, pytest.raises(UsageError, match="--port 0 takes a free one"):
        listening.listen("127.0.0.1", taken.getsockname()[1])


def test_the_exported_site_holds_what_the_server_answers(small: Documents, client: TestClient, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    size = export(small, folder)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert sum(map(len, files.values())) == size
    for name, content in files.items():
        assert client.get(f"/{name}").content == content
    assert {"index.html", "app.js", "data/site.json"} <= files.keys()
    assert export(small, folder) == size  # once more


def test_an_export_spares_other_files(small: Documents, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        export(small, tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="not a folder"):
        export(small, tmp_path / "file")
    assert json.dumps(sorted(p.name for p in tmp_path.iterdir())) == '["file", "thesis.txt"]'
