"""Broken films: each is read or refused in one line; none brings an error of ours, a hang or a leak."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from film.conftest import MakeDicom

from .broken import bombs, broken_films, whole
from .running import Server, film, running

pytestmark = pytest.mark.long

NAME = "DOE_JOHN.dcm"
SMALL = ("--max-mb", "2", "--max-megapixels", "2", "--timeout", "100")


def sent(server: Server, films: list[bytes]) -> list[httpx.Response]:
    """Each film's answer: one as a body, the next as a form, some with their map."""
    with server.client() as client, ThreadPoolExecutor(6) as pool:

        def one(number: int) -> httpx.Response:
            path = "/v1/read?map=png" if number % 5 == 0 else "/v1/read"
            if number % 2:
                return client.post(path, files=[("film", (NAME, films[number]))])
            return client.post(path, content=films[number])

        return list(pool.map(one, range(len(films))))


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    for answer in answers:
        assert answer.status_code in (200, 413, 422), answer.text
        if answer.status_code != 200:
            assert set(answer.json()) == {"error"}
            assert answer.json()["error"].isprintable()
            assert NAME not in answer.text
            assert "Doe" not in answer.text
    return Counter(answer.status_code for answer in answers)


def unharmed(server: Server, readers: list[int]) -> None:
    """No process was lost, no place is kept, nothing was a fault, and a film is read."""
    assert server.readers() == readers
    assert server.metric("lucency_requests_inside") == 0
    assert {event["event"] for event in server.events} == {"serving", "request"}
    with server.client() as client:
        assert client.post("/v1/read", content=film()).status_code == 200


def resident(pid: int) -> int:
    """MiB that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) >> 10


def test_the_whole_ones_are_read(server: Server, make_dicom: MakeDicom) -> None:
    answers = sent(server, list(whole(make_dicom).values()))
    assert [answer.status_code for answer in answers] == [200] * len(answers)


def test_broken_ones(bundle: Path, make_dicom: MakeDicom) -> None:
    films = [content for _, content in broken_films(make_dicom, 150, seed=3)]
    with running(bundle, "--workers", "1", *SMALL) as server:
        readers = server.readers()
        met = statuses(sent(server, films))
        assert met[422] > len(bombs(make_dicom)) // 2
        unharmed(server, readers)


@pytest.mark.slow
def test_thousands_of_broken_ones(bundle: Path, make_dicom: MakeDicom) -> None:
    films = [content for _, content in broken_films(make_dicom, 2400, seed=11)]
    with running(bundle, "--workers", "2", *SMALL) as server:
        readers = server.readers()
        met = statuses(sent(server, films[:600]))
        held = [resident(pid) for pid in (server.process.pid, *readers)]
        met += statuses(sent(server, films[600:]))
        now = [resident(pid) for pid in (server.process.pid, *readers)]
        unharmed(server, readers)
    print(f"{sum(met.values())} broken films: {dict(met)}; MiB after 600 and after all: {held}, {now}")
    assert sum(met.values()) == 2400
    assert all(late < early + 32 for early, late in zip(held, now, strict=True))
