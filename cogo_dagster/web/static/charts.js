// Draws the charts of the history with uPlot. Without this script, the pages show an SVG and a table of the values.
"use strict";

const HEIGHT = 260;
const charts = [];

// A custom property with light-dark() has to be resolved by an element.
function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function stacked(chart) {
  const sums = chart.series.map((one, at) => one.values.map((_, index) =>
    chart.series.slice(0, at + 1).reduce((sum, other) => sum + other.values[index], 0)));
  return [chart.x, ...sums.reverse()];
}

function options(chart, host) {
  const muted = colour("muted"), line = colour("line");
  const axis = { stroke: muted, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  const bars = chart.kind === "bars";
  const whole = bars ? { incrs: [0, 1, 2, 3, 4, 5, 6, 7, 8].flatMap((power) => [1, 2, 5].map((one) => one * 10 ** power)) } : {};
  const series = (bars ? [...chart.series].reverse() : chart.series).map((one) => ({
    label: one.name,
    stroke: colour(one.colour),
    fill: bars ? colour(one.colour) : undefined,
    width: bars ? 0 : 2,
    spanGaps: false,
    paths: bars ? uPlot.paths.bars({ size: [0.8, 60] }) : undefined,
    points: { show: !bars, size: 7, fill: colour(one.colour) },
  }));
  return {
    width: host.clientWidth,
    height: HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    legend: { show: false },
    cursor: { points: { show: false }, y: false, drag: { x: true, y: false } },
    scales: { x: { time: true, range: (_, low, high) => [low - chart.seconds / 2, high + chart.seconds / 2] }, y: { range: (_, low, high) => [0, chart.maximum || Math.max(high * 1.05, 1)] } },
    axes: [{ ...axis, values: marks, size: 44 }, { ...axis, ...whole, size: 56, values: (_, ticks) => ticks.map((tick) => tick.toLocaleString("en") + (chart.unit || "")) }],
    series: [{}, ...series],
    hooks: { draw: chart.minimum === undefined ? [] : [(plot) => threshold(plot, chart.minimum)] },
  };
}

function marks(_, ticks, __, ___, seconds) {
  let day = "";
  return ticks.map((tick) => {
    const at = new Date(tick * 1000).toISOString(), date = at.slice(5, 10), time = at.slice(11, 16);
    if (seconds >= 86_400) return date;
    const first = date !== day;
    day = date;
    return first ? `${time}\n${date}` : time;
  });
}

function threshold(plot, value) {
  const y = plot.valToPos(value, "y", true), { left, width } = plot.bbox;
  plot.ctx.save();
  plot.ctx.strokeStyle = colour("warn");
  plot.ctx.setLineDash([6, 5]);
  plot.ctx.beginPath();
  plot.ctx.moveTo(left, y);
  plot.ctx.lineTo(left + width, y);
  plot.ctx.stroke();
  plot.ctx.restore();
}

class Chart {
  constructor(host) {
    this.host = host;
    this.data = document.getElementById(host.dataset.chart);
    this.values = host.parentElement.querySelector("output");
    this.link = host.parentElement.querySelector("a.plot-link");
    this.selected = null;
    this.fallback = [...host.childNodes];
    this.draw();
    new MutationObserver(() => this.draw()).observe(this.data, { childList: true, characterData: true, subtree: true });
    new ResizeObserver(() => { if (this.plot.width !== host.clientWidth) this.plot.setSize({ width: host.clientWidth, height: HEIGHT }); }).observe(host);
    host.tabIndex = 0;
    host.addEventListener("keydown", (event) => this.key(event));
  }

  draw() {
    const chart = this.chart = JSON.parse(this.data.textContent);
    if (this.plot) this.plot.destroy();
    this.host.replaceChildren();
    this.plot = new uPlot(options(chart, this.host), chart.kind === "bars" ? stacked(chart) : [chart.x, ...chart.series.map((one) => one.values)], this.host);
    // Not through uPlot's hooks: its cursor also moves when the page scrolls under a resting pointer.
    const over = this.plot.over;
    let from = null;
    over.addEventListener("pointerdown", (event) => { from = event.clientX; });
    over.addEventListener("pointermove", () => this.select(this.plot.cursor.idx));
    over.addEventListener("click", (event) => {
      if (from !== null && Math.abs(event.clientX - from) > 4) return; // the end of a zoom
      this.select(this.plot.cursor.idx);
      if (event.pointerType === "mouse" && this.link.href) location.href = this.link.href;
    });
    if (this.selected !== null) this.select(this.selected);
  }

  select(index) {
    const chart = this.chart;
    if (index === null || index === undefined || !chart.x[index]) return;
    this.selected = index;
    const values = chart.series.map((one) => {
      const value = one.values[index];
      return value === null ? `${one.name} not computed` : `${value.toLocaleString("en")}${chart.unit || ""} ${one.name}`;
    });
    this.values.textContent = `${chart.labels[index]}: ${values.join(", ")}`;
    this.link.hidden = !chart.links[index];
    if (chart.links[index]) this.link.href = chart.links[index];
  }

  key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) {
      event.preventDefault();
      const last = this.chart.x.length - 1;
      this.select(Math.min(Math.max((this.selected ?? last + 1) + by, 0), last));
      this.plot.setCursor({ left: this.plot.valToPos(this.chart.x[this.selected], "x"), top: 0 }, false);
    } else if (event.key === "Enter" && this.link.href && !this.link.hidden) location.href = this.link.href;
  }
}

for (const host of document.querySelectorAll("[data-chart]")) charts.push(new Chart(host));
const redraw = () => charts.forEach((chart) => chart.draw());
new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
