"""Two assets: the heading of a page, extracted by a browser job, and its length."""

import dagster as dg

from cogo_dagster import CogoQueue, NewJob


class Page(dg.Config):
    """The page to open."""

    url: str = "https://example.com"


@dg.asset(group_name="example", kinds={"html"})
def title(context: dg.AssetExecutionContext, config: Page, cogo_queue: CogoQueue) -> dg.MaterializeResult[str]:
    """The page's heading; its screenshot is in the metadata of the materialization."""
    extract = {"do": "extract", "name": "title", "selector": "h1"}
    done = cogo_queue.run(NewJob("browser", {"url": config.url, "actions": [extract]}), context, timeout_seconds=300)
    return dg.MaterializeResult(value=done.result["extracted"]["title"], metadata=done.metadata)


@dg.asset(group_name="example", kinds={"python"})
def title_length(title: str) -> int:
    """The length of the heading."""
    return len(title)
