"""Functions that steps call in a page."""

from typing import Final

VALUES: Final = """(elements, [attribute, limit, chars]) => {
    const values = []
    for (let at = 0; at < elements.length && at < limit; at++) {
        const value = attribute === null ? elements[at].innerText : elements[at].getAttribute(attribute)
        const cut = typeof value === 'string' ? value.slice(0, chars) : null
        values[at] = typeof cut === 'string' ? cut : null
    }
    return [elements.length, values]
}"""
"""The number of elements, and values within the limits, so that the page need not be transferred as a whole.

Only strings are returned: the functions of a page may return anything.
"""

SCROLL: Final = """async ([limitMs, limitPx]) => {
    const end = performance.now() + limitMs, pause = ms => new Promise(done => setTimeout(done, ms));
    const root = document.scrollingElement || document.documentElement;
    const go = y => scrollTo({left: 0, top: y, behavior: "instant"});
    for (let y = 0; y < Math.min(root.scrollHeight, limitPx) && performance.now() < end; y += innerHeight) {
        go(y);
        await pause(50);
    }
    go(Math.min(root.scrollHeight, limitPx));
    await pause(50);
    const whole = root.scrollHeight <= limitPx && performance.now() < end;
    const waiting = () => [...document.images].some(image => !image.complete && image.getClientRects().length);
    while (waiting() && performance.now() < end) await pause(50);
    go(0);
    await pause(50);
    return [whole, !waiting()];
}"""
