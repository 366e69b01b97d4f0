"""PyPI and Debian tools: test runners, coverage and linters for Python, C++, Go, Ruby, PHP and shell."""

from typing import Final

from cogo_dagster_tests.quality.tools.tool import Tool, coverage, lint, printed_tests

_PYTHON_LINTED = {"a.py": "import os\n\n\ndef f(x: int) -> str:\n    return x\n"}
_PRICE = "def price(n):\n    if n > 10:\n        return n * 2\n    return n\n"
_PYTEST = {
    "price.py": _PRICE,
    "test_price.py": "import pytest\n\nfrom price import price\n\n\ndef test_one():\n    assert price(1) == 1\n\n\n"
    "def test_two():\n    assert price(2) == 2\n\n\ndef test_red():\n    raise ValueError('\\x1b[31mred\\x00')\n\n\n"
    "@pytest.mark.skip\ndef test_later():\n    pass\n",
}
_BEHAVE = {
    "features/order.feature": "Feature: 주문\n  Scenario: one\n    Given a price\n  Scenario: two\n    Given a price\n"
    "  Scenario: red\n    Given an error\n  @skip\n  Scenario: later\n    Given a price\n",
    "features/steps/order.py": "from behave import given\n\n\n@given('a price')\ndef a_price(context):\n    pass\n\n\n"
    "@given('an error')\ndef an_error(context):\n    raise ValueError('\\x1b[31mred')\n",
}
_BATS = {
    "test/price.bats": '@test "one" {\n  true\n}\n@test "two" {\n  true\n}\n'
    '@test "red" {\n  printf "\\033[31mred\\n"\n  false\n}\n@test "later" {\n  skip\n}\n'
}
_GTEST = {
    "t.cpp": "#include <gtest/gtest.h>\nTEST(Price, One) { EXPECT_EQ(1, 1); }\nTEST(Price, Two) { EXPECT_EQ(2, 2); }\n"
    'TEST(Price, Red) { EXPECT_EQ(1, 2) << "\\x1b[31mred"; }\nTEST(Price, DISABLED_Later) { FAIL(); }\n'
}
_CTEST = {
    "CMakeLists.txt": "cmake_minimum_required(VERSION 3.20)\nproject(t NONE)\nenable_testing()\n"
    "add_test(NAME one COMMAND true)\nadd_test(NAME two COMMAND true)\nadd_test(NAME red COMMAND false)\n"
    "add_test(NAME later COMMAND true)\nset_tests_properties(later PROPERTIES DISABLED TRUE)\n"
}
_GO = {
    "go.mod": "module shop\n\ngo 1.19\n",
    "price.go": "package shop\n\nfunc Price(n int) int {\n\tif n > 10 {\n\t\treturn n * 2\n\t}\n\treturn n\n}\n",
    "price_test.go": 'package shop\n\nimport "testing"\n\nfunc TestOne(t *testing.T) {\n\tif Price(1) != 1 {\n'
    '\t\tt.Fatal()\n\t}\n}\n\nfunc TestRed(t *testing.T) {\n\tt.Fatal("\\x1b[31mred")\n}\n\n'
    "func TestLater(t *testing.T) {\n\tt.Skip()\n}\n",
}
_RSPEC = {
    "spec/price_spec.rb": 'RSpec.describe "price" do\n  it("one") { expect(1).to eq(1) }\n'
    '  it("two") { expect(2).to eq(2) }\n  it("red") { raise "\\e[31mred" }\n  xit("later") { }\nend\n'
}
_PHPUNIT = {
    "tests/PriceTest.php": "<?php\nuse PHPUnit\\Framework\\TestCase;\nrequire_once __DIR__ . '/../src/Price.php';\n"
    "class PriceTest extends TestCase {\n"
    "  function testOne() { $this->assertSame(1, price(1)); }\n"
    "  function testTwo() { $this->assertSame(2, price(2)); }\n"
    '  function testRed() { throw new Exception("\\x1b[31mred"); }\n'
    "  function testLater() { $this->markTestSkipped(); }\n}\n",
    "src/Price.php": "<?php\nfunction price($n) {\n  if ($n > 10) {\n    return $n * 2;\n  }\n  return $n;\n}\n",
    "phpunit.xml": '<phpunit><testsuites><testsuite name="t"><directory>tests</directory></testsuite></testsuites>'
    "<coverage><include><directory>src</directory></include></coverage></phpunit>",
}
_GO_PROGRAMS = {"go": "golang-go"}

TOOLS: Final = [
    Tool(
        "pytest",
        "junit",
        _PYTEST,
        "pytest -p no:cacheprovider --junit-xml=junit.xml",
        "junit.xml",
        printed_tests(r"(\d+) failed", r"(\d+) passed"),
    ),
    Tool(
        "behave",
        "junit",
        _BEHAVE,
        "behave --tags=-skip --junit --junit-directory reports",
        "reports",
        printed_tests(r"scenarios passed, 0 failed, (\d+) error", r"(\d+) scenarios passed"),
    ),
    Tool(
        "bats",
        "junit",
        _BATS,
        "bats --formatter tap --report-formatter junit -o . test",
        "report.xml",
        lambda output: {
            "tests_total": output.count("ok ") - output.count("# skip"),
            "tests_failed": output.count("not ok "),
        },
        programs={"bats": "bats"},
    ),
    Tool(
        "GoogleTest",
        "junit",
        _GTEST,
        "g++ -o t t.cpp -lgtest -lgtest_main -pthread && ./t --gtest_output=xml:junit.xml",
        "junit.xml",
        printed_tests(r"(\d+) FAILED TEST", r"PASSED  \] (\d+) tests"),
        programs={"g++": "g++", "/usr/include/gtest/gtest.h": "libgtest-dev"},
    ),
    Tool(
        "CTest",
        "junit",
        _CTEST,
        "cmake -S . -B build > /dev/null && cd build && ctest --output-junit ../junit.xml",
        "junit.xml",
        lambda output: {
            "tests_total": output.count("Passed") + output.count("***Failed"),
            "tests_failed": output.count("***Failed"),
        },
        programs={"ctest": "cmake", "make": "make"},
    ),
    Tool(
        "gotestsum",
        "junit",
        _GO,
        "gotestsum --format standard-verbose --junitfile junit.xml ./...",
        "junit.xml",
        lambda output: {
            "tests_total": output.count("--- PASS") + output.count("--- FAIL"),
            "tests_failed": output.count("--- FAIL"),
        },
        programs={"gotestsum": "gotestsum", **_GO_PROGRAMS},
    ),
    Tool(
        "RSpec",
        "junit",
        _RSPEC,
        "rspec -r rspec_junit_formatter -f progress -f RspecJunitFormatter -o junit.xml",
        "junit.xml",
        lambda output: {"tests_total": 3, "tests_failed": 1} if "4 examples, 1 failure, 1 pending" in output else {},
        programs={"rspec": "ruby-rspec ruby-rspec-junit-formatter"},
    ),
    Tool(
        "PHPUnit",
        "junit",
        _PHPUNIT,
        "phpunit --log-junit junit.xml",
        "junit.xml",
        lambda output: {"tests_total": 3, "tests_failed": 1} if "Tests: 4" in output and "Errors: 1" in output else {},
        programs={"phpunit": "phpunit php-pcov"},
    ),
    Tool(
        "PHPUnit",
        "coverage",
        _PHPUNIT,
        "php -d pcov.enabled=1 $(command -v phpunit) --coverage-clover clover.xml",
        "clover.xml",
        coverage((2, 3)),
        programs={"phpunit": "phpunit php-pcov"},
    ),
    Tool(
        "Go",
        "coverage",
        _GO,
        "go test -coverprofile=cover.out ./...",
        "cover.out",
        coverage((2, 3)),
        programs=_GO_PROGRAMS,
    ),
    Tool(
        "pylint",
        "eslint",
        _PYTHON_LINTED,
        "pylint --disable=all --enable=unused-import,missing-function-docstring,return-in-init"
        " --output-format=json2 --output=pylint.json a.py",
        "pylint.json",
        lint(0, 2),
        variant="json2",
    ),
    Tool("mypy", "eslint", _PYTHON_LINTED, "mypy --output=json a.py > mypy.json", "mypy.json", lint(1), variant="json"),
    Tool("mypy", "eslint", _PYTHON_LINTED, "mypy a.py > mypy.txt", "mypy.txt", lint(1), variant="text"),
    Tool("flake8", "eslint", _PYTHON_LINTED, "flake8 --output-file=flake8.txt a.py", "flake8.txt", lint(1)),
]
