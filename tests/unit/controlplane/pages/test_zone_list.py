"""The list of zones: what it counts, finds, sorts, and says when there is nothing."""

import re

import pytest

from controlplane.pages.zone_list import ROWS
from controlplane.partner_zone import PartnerZone
from controlplane.zone_service import Status
from tests.unit.controlplane.api.conftest import resource
from tests.unit.controlplane.api.memory_service import MemoryService
from tests.unit.controlplane.pages.conftest import Browser


async def _add(service: MemoryService, name: str, topics: int = 1, **labels: str) -> None:
    rows = [{"name": f"{name}-{n}", "backingTopic": f"kafka-{name}-{n}", "permission": "READ"} for n in range(topics)]
    fields = resource(name, displayName=f"Zone {name}", serviceAccount=f"{name}-doe", topics=rows)
    fields["metadata"]["labels"] = labels
    await service.upsert(PartnerZone.model_validate(fields))


@pytest.fixture
async def three(service: MemoryService) -> None:
    await _add(service, "alpha", topics=3, team="shop")
    await _add(service, "beta", topics=1, team="payments")
    await _add(service, "gamma", topics=2, team="shop", env="prod")
    service.set_status("alpha", Status.READY)
    service.set_status("gamma", Status.FAILED, "backing topic 'kafka-gamma-1' does not exist")


def _names(page: str) -> list[str]:
    return re.findall(r'href="/zones/([a-z0-9-]+)">Zone', page)


async def test_without_zones_it_says_how_to_begin(browser: Browser) -> None:
    page = (await browser.open("/zones")).text
    assert "Share your first topics" in page and "zonegate apply -f zone.yaml" in page
    assert page.count('href="/zones/new"') == 2


@pytest.mark.usefixtures("three")
async def test_it_counts_zones_and_topics_and_tells_why_one_has_failed(browser: Browser) -> None:
    page = (await browser.open("/zones")).text
    totals = dict(re.findall(r"<dt>([^<]+)</dt><dd>(?:<a[^>]*>)?([0-9,]+)", page))
    assert totals == {"Zones": "3", "Topics shared": "6", "Pending": "1", "Ready": "1", "Failed": "1"}
    assert "backing topic &#39;kafka-gamma-1&#39; does not exist" in page
    assert _names(page) == ["alpha", "beta", "gamma"]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("search=BETA", ["beta"]),
        ("search=kafka-alpha-2", ["alpha"]),
        ("search=gamma-doe", ["gamma"]),
        ("search=zone%20alpha", ["alpha"]),
        ("search=nobody", []),
        ("status=FAILED", ["gamma"]),
        ("label=team%3Dshop", ["alpha", "gamma"]),
        ("label=team%3Dshop&status=READY", ["alpha"]),
        ("sort=topics", ["beta", "gamma", "alpha"]),
        ("sort=topics&order=down", ["alpha", "gamma", "beta"]),
        ("sort=status", ["gamma", "beta", "alpha"]),
        ("sort=updated&order=down", ["gamma", "beta", "alpha"]),
        ("sort=nonsense&status=nonsense&page=-7&order=x", ["alpha", "beta", "gamma"]),
    ],
)
async def test_it_finds_filters_and_sorts(browser: Browser, query: str, names: list[str]) -> None:
    assert _names((await browser.open(f"/zones?{query}")).text) == names


@pytest.mark.usefixtures("three")
async def test_a_column_sorts_the_other_way_when_it_is_pressed_again(browser: Browser) -> None:
    page = (await browser.open("/zones?search=zone")).text
    assert 'aria-sort="ascending"' in page
    (address,) = re.findall(r'<a href="([^"]+)">Name</a>', page)
    assert _names((await browser.open(address.replace("&amp;", "&"))).text) == ["gamma", "beta", "alpha"]
    assert 'aria-sort="descending"' in browser.page and 'value="zone"' in browser.page


@pytest.mark.usefixtures("three")
async def test_when_nothing_fits_it_shows_the_way_back(browser: Browser) -> None:
    page = (await browser.open("/zones?search=nobody")).text
    assert "No zone fits" in page and 'href="/zones">Show all' in page


async def test_many_zones_have_pages(browser: Browser, service: MemoryService) -> None:
    for number in range(ROWS + 1):
        await _add(service, f"zone-{number:03}")
    page = (await browser.open("/zones")).text
    assert len(_names(page)) == ROWS and "Page 1 of 2" in page
    page = (await browser.open("/zones?page=2")).text
    assert _names(page) == [f"zone-{ROWS:03}"] and 'rel="prev"' in page and 'rel="next"' not in page
    assert _names((await browser.open("/zones?page=99")).text) == [f"zone-{ROWS:03}"]
