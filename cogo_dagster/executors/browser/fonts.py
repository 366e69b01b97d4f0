"""Detects scripts without glyphs: renders a character of each script and compares it with the missing-glyph box."""

import json
from collections.abc import Iterable
from typing import Final

from playwright.async_api import Browser

SCRIPTS: Final = {
    "Latin": "A",
    "Greek": "Ω",
    "Cyrillic": "Ж",
    "Hangul": "한",
    "Han": "汉",
    "Hiragana": "ひ",
    "Katakana": "カ",
    "emoji": "\N{GRINNING FACE}",
}
"""A character of each script that is tested. Han covers Chinese and Japanese kanji."""

RANGES: Final = {
    "Latin": r"A-Za-z\xaa-\uffff",
    "Greek": r"\u0370-\uffff",
    "Cyrillic": r"\u0400-\uffff",
    "Hangul": r"\u1100-\u11ff\u302e-\u327e\ua960-\ua97c\uac00-\ud7fb\uffa0-\uffdc",
    "Han": r"\u2e80-\u303b\u3400-\u9fff\uf900-\ufad9\ud81b-\ud8ff",
    "Hiragana": r"\u3041-\u309f\ud82c\ud83c",
    "Katakana": r"\u30a1-\u3357\uff66-\uff9d\ud82b\ud82c",
    "emoji": r"\u231a-\u3299\ud83c-\ud83e",
}
"""Classes of UTF-16 code units, one of which is in every character of a script.

A regular expression with a property such as `\\p{Script=Han}` takes much longer to build in each new process of a page.
"""

_RENDERS: Final = """
const SIZE = 64
let context
const renders = (text, font) => {
  if (!context) {
    const canvas = document.createElement('canvas')
    canvas.width = 2 * SIZE
    canvas.height = SIZE
    context = canvas.getContext('2d', {willReadFrequently: true})
    context.textBaseline = 'top'
  }
  context.clearRect(0, 0, 2 * SIZE, SIZE)
  context.font = '32px sans-serif' // kept if the page's font is not valid
  context.font = font
  context.fillText(text, 4, 4)
  // U+1FFFE is a noncharacter: no font has a glyph for it, and Chromium does not search other fonts for one.
  context.fillText('\\u{1FFFE}', SIZE + 4, 4)
  const pixels = new Uint32Array(context.getImageData(0, 0, 2 * SIZE, SIZE).data.buffer)
  return pixels.some((pixel, at) => at % (2 * SIZE) < SIZE && pixel !== pixels[at + SIZE])
}
"""

_WITHOUT: Final = f"""characters => {{ {_RENDERS}
  return Object.keys(characters).filter(script => !renders(characters[script], '32px sans-serif'))
}}"""

BOXED: Final = f"""missing => {{ {_RENDERS}
  const shown = field => field.type === 'password' ? '' : field.value || field.placeholder || ''
  const fields = [...document.querySelectorAll('input, textarea')].slice(0, 500)
  const text = [document.documentElement.textContent, ...fields.map(shown)].join('\\n')
  // Most pages have none of them, which one search in the whole text finds out.
  const ranges = {json.dumps(RANGES)}
  const possible = missing.filter(script => new RegExp(`[${{ranges[script]}}]`).test(text))
  const property = script => script === 'emoji' ? 'Emoji_Presentation' : `Script=${{script}}`
  const of = script => new RegExp(`\\\\p{{${{property(script)}}}}`, 'u')
  const classes = Object.fromEntries(possible.map(script => [script, of(script)]))
  const scripts = possible.filter(script => classes[script].test(text))
  if (!scripts.length) return []
  const boxed = new Set(), seen = new Set()
  for (const script of scripts) {{
    const field = fields.find(field => classes[script].test(shown(field)) && field.checkVisibility())
    const found = field && classes[script].exec(shown(field))
    // What a script draws on a canvas is not in the document: its text is searched instead.
    const scripted = Array.from(document.scripts, one => one.text)
    const drawing = document.querySelector('canvas') ? [document.title, ...scripted] : []
    const drawn = drawing.map(one => classes[script].exec(one)).find(Boolean)
    const font = found && `32px ${{getComputedStyle(field).fontFamily}}`
    if (found && !renders(found[0], font)) boxed.add(script)
    if (drawn && !renders(drawn[0], '32px sans-serif')) boxed.add(script)
  }}
  const walker = document.createTreeWalker(document.body || document.documentElement, NodeFilter.SHOW_TEXT)
  for (let left = 20000, node; left > 0 && seen.size < scripts.length && (node = walker.nextNode()); left--) {{
    for (const script of scripts) {{
      const found = seen.has(script) ? null : classes[script].exec(node.data)
      const style = found && node.parentElement && getComputedStyle(node.parentElement)
      if (!style || style.display === 'none' || style.visibility === 'hidden') continue
      if (/^(SCRIPT|STYLE|NOSCRIPT|TEMPLATE)$/.test(node.parentElement.tagName)) continue
      seen.add(script)
      if (!renders(found[0], `32px ${{style.fontFamily}}`)) boxed.add(script)
    }}
  }}
  return [...boxed]
}}"""
"""A function that returns which of some scripts a page contains without a font for them; it uses the page's fonts."""


async def scripts_without_glyphs(browser: Browser) -> tuple[str, ...]:
    """Return the scripts that this browser renders as boxes unless the page has its own font."""
    context = await browser.new_context()
    try:
        page = await context.new_page()
        found: list[str] = await page.evaluate(_WITHOUT, SCRIPTS)
    finally:
        await context.close()
    return tuple(found)


def boxes_note(scripts: Iterable[str]) -> str:
    """Return the note for the job's result."""
    return (
        f"The page has {', '.join(scripts)} text, for which no font is installed: it is rendered as boxes in "
        "screenshots and PDFs. `cogo doctor` shows how to install a font."
    )
