"""npm tools: test runners, coverage and linters."""

from typing import Final

from cogo_dagster_tests.quality.tools.tool import Tool, coverage, lint, printed_tests

JEST: Final = ("jest@29.7.0", "jest-junit@16.0.0")
VITEST: Final = ("vitest@3.2.4", "@vitest/coverage-v8@3.2.4")
MOCHA: Final = ("mocha@11.7.5", "nyc@17.1.0", "c8@10.1.3")
BIOME: Final = ("@biomejs/biome@2.6.8",)
OXLINT: Final = ("oxlint@1.94.0",)
STYLELINT: Final = ("stylelint@16.26.1",)
PLAYWRIGHT: Final = ("@playwright/test@1.64.1",)

_RED = 'throw new Error("\\u001b[31mred\\u001b[0m <&> \\u0000")'
_BODY = "price(n) {\n  if (n > 10) {\n    return n * 2;\n  }\n  return n;\n}\n"
_COMMON = f"function {_BODY}module.exports = {{ price }};\n"
_MODULE = f"export function {_BODY}"
_PLAIN = '{"name": "shop", "version": "1.0.0"}'
_ESM = '{"name": "shop", "version": "1.0.0", "type": "module"}'
_CASES = f"""
test("one", () => {{ expect(price(1)).toBe(1); }});
test("two", () => {{ expect(price(2)).toBe(2); }});
test("주문", () => {{ {_RED}; }});
test.skip("later", () => {{}});
"""
_JEST = {
    "package.json": _PLAIN,
    "price.js": _COMMON,
    "price.test.js": f'const {{ price }} = require("./price");{_CASES}',
}
_VITEST = {
    "package.json": _ESM,
    "price.js": _MODULE,
    "price.test.js": f'import {{ expect, test }} from "vitest";\nimport {{ price }} from "./price.js";{_CASES}',
}
_ASSERTED = f"""
it("one", () => {{ assert.equal(price(1), 1); }});
it("two", () => {{ assert.equal(price(2), 2); }});
it("주문", () => {{ {_RED}; }});
it.skip("later", () => {{}});
"""
_MOCHA = {
    "package.json": _PLAIN,
    "price.js": _COMMON,
    "test/price.js": f'const assert = require("assert");\nconst {{ price }} = require("../price");{_ASSERTED}',
}
_NODE = {
    "package.json": _PLAIN,
    "price.js": _COMMON,
    "price.test.js": 'const assert = require("assert");\nconst { it } = require("node:test");\n'
    f'const {{ price }} = require("./price");{_ASSERTED}',
}
_PLAYWRIGHT = {
    "package.json": _PLAIN,
    "price.spec.js": 'const { test, expect } = require("@playwright/test");\nconst price = (n) => n;'
    + _CASES.replace("toBe(2); });", "toBe(2); });\n", 1),
    "playwright.config.js": 'module.exports = { retries: 1, testDir: "." };',
}
_UNUSED = "var a = 1;\nif (a == 2) {\n  debugger;\n}\n"

_jest = printed_tests(r"Tests:\s+(\d+) failed", r"(\d+) passed")
_vitest = printed_tests(r"Tests\s+(\d+) failed", r"(\d+) passed \| \d+ skipped")


def _jest_coverage(reporter: str, report: str, branches: tuple[int, int] | None = (1, 2)) -> Tool:
    command = f"jest --coverage --coverageReporters={reporter}"
    return Tool("jest", "coverage", _JEST, command, report, coverage((3, 4), branches), JEST, variant=reporter)


def _vitest_coverage(reporter: str, report: str) -> Tool:
    command = f"vitest run --coverage.enabled --coverage.reportOnFailure --coverage.reporter={reporter}"
    return Tool("vitest", "coverage", _VITEST, command, report, coverage((4, 6), (1, 2)), VITEST, variant=reporter)


TOOLS: Final = [
    Tool("jest", "junit", _JEST, "jest --reporters=default --reporters=jest-junit", "junit.xml", _jest, JEST),
    Tool(
        "vitest",
        "junit",
        _VITEST,
        "vitest run --reporter=default --reporter=junit --outputFile.junit=junit.xml",
        "junit.xml",
        _vitest,
        VITEST,
    ),
    Tool(
        "mocha",
        "junit",
        _MOCHA,
        "mocha --reporter spec; mocha --reporter xunit --reporter-option output=junit.xml",
        "junit.xml",
        printed_tests(r"(\d+) failing", r"(\d+) passing"),
        MOCHA,
    ),
    Tool(
        "node",
        "junit",
        _NODE,
        "node --test --test-reporter=tap --test-reporter-destination=stdout"
        " --test-reporter=junit --test-reporter-destination=junit.xml",
        "junit.xml",
        printed_tests(r"# fail (\d+)", r"# pass (\d+)"),
    ),
    Tool(
        "Playwright",
        "junit",
        _PLAYWRIGHT,
        "PLAYWRIGHT_JUNIT_OUTPUT_NAME=junit.xml playwright test --reporter=list,junit",
        "junit.xml",
        printed_tests(r"(\d+) failed", r"(\d+) passed"),
        PLAYWRIGHT,
    ),
    _jest_coverage("json-summary", "coverage/coverage-summary.json"),
    _jest_coverage("clover", "coverage/clover.xml"),
    _jest_coverage("cobertura", "coverage/cobertura-coverage.xml"),
    _jest_coverage("lcovonly", "coverage/lcov.info"),
    _vitest_coverage("json-summary", "coverage/coverage-summary.json"),
    _vitest_coverage("clover", "coverage/clover.xml"),
    _vitest_coverage("cobertura", "coverage/cobertura-coverage.xml"),
    _vitest_coverage("lcovonly", "coverage/lcov.info"),
    Tool(
        "nyc",
        "coverage",
        _MOCHA,
        "nyc --reporter=lcovonly mocha",
        "coverage/lcov.info",
        coverage((3, 4), (1, 2)),
        MOCHA,
    ),
    Tool(
        "c8",
        "coverage",
        _MOCHA,
        "c8 --reporter=clover mocha",
        "coverage/clover.xml",
        coverage((5, 7), (2, 3)),
        MOCHA,
    ),
    Tool(
        "biome",
        "eslint",
        {"a.js": _UNUSED, "biome.json": "{}"},
        "biome lint --reporter=json . > biome-report.json",
        "biome-report.json",
        lint(2),
        BIOME,
    ),
    Tool(
        "oxlint",
        "eslint",
        {"a.js": _UNUSED, ".gitignore": "node_modules\n"},
        "oxlint -f json . > oxlint.json",
        "oxlint.json",
        lint(0, 1),
        OXLINT,
    ),
    Tool(
        "stylelint",
        "eslint",
        {
            "a.css": "a { colour: red; color: #zz; }\na {}\n",
            ".stylelintrc.json": '{"rules": {"property-no-unknown": true, "color-no-invalid-hex": [true,'
            ' {"severity": "warning"}], "block-no-empty": true}}',
        },
        'stylelint -f json -o stylelint.json "**/*.css"',
        "stylelint.json",
        lint(2, 1),
        STYLELINT,
    ),
]
