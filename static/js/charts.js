// Draws the charts that `{% chart %}` put on the page, from the JSON each carries. ECharts itself is fetched when the
// first chart comes near the window. SVG, no HTML tooltips: both keep to the Content Security Policy.
//
// The page loads this module with data-echarts="/static/.../echarts.common.min.js" on its script tag.

const source = document.querySelector("script[data-echarts]").dataset.echarts;
const drawn = new Map(); // element → { chart, spec, wasNarrow }
let loading = null;

function loadECharts() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = source;
    script.onload = () => resolve(window.echarts);
    script.onerror = () => reject(new Error("ECharts did not load"));
    document.head.append(script);
  });
  return loading;
}

// --- Words and colours ----------------------------------------------------------------

const MINUS = "\u2212";
const NBSP = "\u00a0";
const plain = (value, places) =>
  new Intl.NumberFormat("en-GB", { maximumFractionDigits: places }).format(value).replace("-", MINUS);

/** A number in its chart's unit, as the filter `as_unit` writes it; `short` for axes. */
function words(value, { unit, symbol, step }, short = false) {
  if (value === null || value === undefined) return "no data";
  if (unit === "money") {
    const sign = value < 0 ? MINUS : "";
    const size = Math.abs(value);
    const [scale, letter] = !short || size < 1000 ? [1, ""] : size < 1e6 ? [1e3, "k"] : size < 1e9 ? [1e6, "M"] : [1e9, "bn"];
    // Steps of less than a thousand would all be called alike without a decimal.
    const isFine = size / scale < 10 || (step && (step / scale) % 1 !== 0);
    const figure = plain(size / scale, scale > 1 ? (isFine ? 1 : 0) : size >= 1000 ? 0 : 2);
    return `${sign}${symbol}${NBSP}${figure}${letter && NBSP + letter}`;
  }
  if (unit === "percent") return `${plain(value, 1)}${NBSP}%`;
  if (unit === "ratio") return `${plain(value, 2)}${NBSP}×`;
  if (["days", "hours", "minutes", "months", "seconds"].includes(unit)) return `${plain(value, 1)}${short ? "" : NBSP + unit}`;
  return plain(value, unit === "points" ? 1 : 2);
}

// A probe turns light-dark() and var() into the colour that is in force.
const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);
function colour(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

function palette() {
  const names = ["accent", "violet", "teal", "green", "yellow", "red", "grey"];
  return {
    ink: colour("ink"),
    ink2: colour("ink-2"),
    line: colour("line"),
    lineStrong: colour("line-strong"),
    surface: colour("surface"),
    series: Object.fromEntries(names.map((name) => [name, colour(`series-${name}`)])),
    font: getComputedStyle(document.body).fontFamily,
  };
}

const ORDER = ["accent", "violet", "teal", "yellow", "red", "green", "grey"];

// --- Options by kind ------------------------------------------------------------------

function frame(spec, colours) {
  const text = { color: colours.ink2, fontFamily: colours.font, fontSize: 12 };
  const several = spec.series.length > 1;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  return {
    animation: !still,
    animationDuration: 350,
    textStyle: { fontFamily: colours.font },
    aria: { enabled: true, label: { description: spec.summary } },
    grid: { left: 4, right: 16, top: several ? 36 : 14, bottom: 4, containLabel: true },
    legend: several
      ? { top: 0, left: 0, icon: "roundRect", itemWidth: 10, itemHeight: 10, itemGap: 16, padding: [2, 0], textStyle: { ...text, fontSize: 12.5 } }
      : { show: false },
    tooltip: {
      renderMode: "richText",
      trigger: "axis",
      confine: true,
      backgroundColor: colours.surface,
      borderColor: colours.lineStrong,
      textStyle: { color: colours.ink, fontFamily: colours.font, fontSize: 12.5, lineHeight: 18 },
      padding: [8, 12],
      axisPointer: { type: "line", lineStyle: { color: colours.lineStrong }, shadowStyle: { color: colours.line, opacity: 0.35 } },
    },
    xAxis: {
      type: "category",
      data: spec.categories,
      axisLine: { lineStyle: { color: colours.lineStrong } },
      axisTick: { show: false },
      axisLabel: { ...text, hideOverlap: true },
    },
    yAxis: {
      type: "value",
      scale: !spec.fromZero,
      axisLabel: { ...text, formatter: (value) => words(value, spec, true) },
      splitLine: { lineStyle: { color: colours.line } },
      splitNumber: 4,
    },
  };
}

const toneOf = (spec, colours) => (series, place) =>
  colours.series[series.tone ?? ORDER[place % ORDER.length]];

const linesOf = (spec) => (points) => {
  const at = points[0].dataIndex;
  const rows = spec.series.map((series) => {
    const low = series.low[at];
    const interval = low === null || low === undefined ? "" : ` (${words(low, spec)} to ${words(series.high[at], spec)})`;
    return `${spec.series.length > 1 ? `${series.name}  ` : ""}${words(series.values[at], spec)}${interval}`;
  });
  return [spec.categories[at], ...rows].join("\n");
};

function marks(spec, colours) {
  const parts = {};
  if (spec.target)
    parts.markLine = {
      silent: true,
      symbol: "none",
      animation: false,
      lineStyle: { color: colours.ink2, type: [5, 4], width: 1.25 },
      label: { formatter: spec.target.label || `target ${words(spec.target.value, spec)}`, position: "insideEndTop", color: colours.ink2, fontFamily: colours.font, fontSize: 12 },
      data: [{ yAxis: spec.target.value }],
    };
  if (spec.marks?.length) {
    parts.markLine ??= { silent: true, symbol: "none", animation: false, data: [] };
    // The words run along their line, so that neighbours don't cover each other.
    for (const mark of spec.marks)
      parts.markLine.data.push({
        xAxis: mark.category,
        lineStyle: { color: colours.ink2, type: [2, 3], width: 1 },
        label: { formatter: mark.label, position: "insideEndBottom", color: colours.ink2, fontFamily: colours.font, fontSize: 11 },
      });
  }
  if (spec.benchmark)
    parts.markArea = {
      silent: true,
      animation: false,
      itemStyle: { color: colours.series.teal, opacity: 0.09 },
      label: { color: colours.ink2, fontFamily: colours.font, fontSize: 12, position: "insideTopLeft" },
      data: [[{ name: spec.benchmark.label, yAxis: spec.benchmark.range[0] }, { yAxis: spec.benchmark.range[1] }]],
    };
  return parts;
}

/** An axis from one round number to another that holds all figures, in about four steps. */
function axis(low, high) {
  const rough = (high - low || Math.abs(high) || 1) / 4;
  const size = 10 ** Math.floor(Math.log10(rough));
  const interval = [1, 2, 2.5, 5, 10].map((factor) => factor * size).find((step) => step >= rough);
  return { min: Math.floor(low / interval) * interval, max: Math.ceil(high / interval) * interval, interval };
}

/** Fit the axis to the figures, keeping target and benchmark in sight even where no figure comes near. */
function fit(spec, option) {
  const marked = [spec.target?.value, ...(spec.benchmark?.range ?? [])].filter((value) => value !== undefined);
  const figures = spec.series.flatMap((series) => [...series.values, ...series.low, ...series.high]).filter((value) => value !== null);
  const low = Math.min(...figures, ...marked, ...(spec.fromZero ? [0] : []));
  Object.assign(option.yAxis, axis(low, Math.max(...figures, ...marked)));
  spec.step = option.yAxis.interval;
}

const KINDS = {
  line(spec, colours) {
    const tone = toneOf(spec, colours);
    const option = frame(spec, colours);
    option.xAxis.boundaryGap = false;
    option.tooltip.formatter = linesOf(spec);
    option.grid.right = 20;
    option.series = [];
    spec.series.forEach((series, place) => {
      if (series.low.length) {
        // An interval is two stacked lines without ink, the upper one filled down to the lower.
        const base = { type: "line", stack: `interval-${place}`, symbol: "none", silent: true, lineStyle: { opacity: 0 }, tooltip: { show: false }, stackStrategy: "all" };
        option.series.push({ ...base, name: `${series.name} low`, data: series.low });
        option.series.push({
          ...base,
          name: `${series.name} high`,
          data: series.high.map((high, at) => (high === null || series.low[at] === null ? null : high - series.low[at])),
          areaStyle: { color: tone(series, place), opacity: 0.14 },
        });
      }
      option.series.push({
        type: "line",
        name: series.name,
        data: series.values,
        connectNulls: false,
        symbol: "circle",
        symbolSize: spec.categories.length > 40 ? 0 : 6,
        showSymbol: true,
        lineStyle: { width: 2.25, color: tone(series, place) },
        itemStyle: { color: tone(series, place), borderColor: colours.surface, borderWidth: 1 },
        emphasis: { scale: 1.6 },
        cursor: series.links.length ? "pointer" : "default",
        ...(place === 0 ? marks(spec, colours) : {}),
      });
    });
    if (option.legend.show !== false) option.legend.data = spec.series.map((series) => series.name);
    fit(spec, option);
    return option;
  },

  stacked(spec, colours) {
    const tone = toneOf(spec, colours);
    const option = frame(spec, colours);
    option.yAxis.scale = false;
    option.tooltip.axisPointer.type = "shadow";
    option.tooltip.formatter = linesOf(spec);
    option.series = spec.series.map((series, place) => ({
      type: "bar",
      name: series.name,
      stack: "all",
      data: series.values,
      barMaxWidth: 34,
      barCategoryGap: "38%",
      itemStyle: { color: tone(series, place), borderColor: colours.surface, borderWidth: 0.75 },
      cursor: series.links.length ? "pointer" : "default",
      ...(place === 0 ? marks(spec, colours) : {}),
    }));
    if (spec.target || spec.benchmark) {
      // The axis is the library's own unless a line or a band has to be kept in sight.
      const sums = spec.categories.map((_, at) => spec.series.reduce((sum, series) => sum + (series.values[at] ?? 0), 0));
      const marked = [spec.target?.value, ...(spec.benchmark?.range ?? [])].filter((value) => value !== undefined);
      Object.assign(option.yAxis, axis(Math.min(0, ...sums, ...marked), Math.max(...sums, ...marked)));
    }
    return option;
  },

  bars(spec, colours) {
    const tone = toneOf(spec, colours);
    const option = frame(spec, colours);
    const { xAxis, yAxis } = option;
    option.xAxis = { ...yAxis, scale: false, axisLabel: { show: false }, splitLine: { show: false }, axisLine: { show: false } };
    option.yAxis = { ...xAxis, inverse: true, axisLabel: { ...xAxis.axisLabel, hideOverlap: false, width: 150, overflow: "break", lineHeight: 15 } };
    option.grid.right = 64;
    option.grid.top = spec.series.length > 1 ? 36 : 2;
    option.tooltip.axisPointer.type = "shadow";
    option.tooltip.formatter = linesOf(spec);
    option.series = spec.series.map((series, place) => ({
      type: "bar",
      name: series.name,
      data: series.values,
      barMaxWidth: 18,
      itemStyle: { color: tone(series, place), borderRadius: 3 },
      label: { show: true, position: "right", color: colours.ink, fontFamily: colours.font, fontSize: 12.5, formatter: (point) => words(point.value, spec, true) },
      cursor: series.links.length ? "pointer" : "default",
    }));
    return option;
  },

  histogram(spec, colours) {
    const option = KINDS.stacked(spec, colours);
    option.series.forEach((series) => Object.assign(series, { barMaxWidth: undefined, barCategoryGap: "6%", itemStyle: { ...series.itemStyle, borderRadius: [3, 3, 0, 0] } }));
    return option;
  },

  waterfall(spec, colours, isNarrow) {
    const option = frame(spec, colours);
    const [changes] = spec.series;
    let level = 0;
    const steps = changes.values.map((value, at) => {
      if (value === null) return { from: level, to: level, value, tone: "grey" };
      const isTotal = spec.totals.includes(spec.categories[at]);
      const from = isTotal ? 0 : level;
      level = isTotal ? value : level + value;
      return { from, to: level, value, tone: isTotal ? "accent" : value < 0 ? "red" : "green" };
    });
    const ends = steps.flatMap((step) => [step.from, step.to]);
    option.tooltip.axisPointer.type = "shadow";
    option.tooltip.formatter = (points) => `${spec.categories[points[0].dataIndex]}\n${words(steps[points[0].dataIndex].value, spec)}`;
    // The steps matter, not the levels under them: the axis begins near the lowest step, and the totals are cut.
    const partial = steps.filter((step) => step.from !== 0).flatMap((step) => [step.from, step.to]);
    const floor = partial.length ? Math.min(...partial) : 0;
    const span = Math.max(...ends) - floor;
    Object.assign(option.yAxis, axis(floor > span ? floor - span * 0.4 : Math.min(0, ...ends), Math.max(...ends)));
    spec.step = option.yAxis.interval;
    const bottom = option.yAxis.min;
    option.yAxis.scale = false;
    option.xAxis.axisLabel.interval = 0;
    option.series = [
      { type: "bar", stack: "steps", silent: true, itemStyle: { color: "transparent" }, data: steps.map((s) => Math.max(Math.min(s.from, s.to), bottom)) },
      {
        type: "bar",
        stack: "steps",
        name: changes.name,
        barMaxWidth: 56,
        barCategoryGap: "30%",
        cursor: changes.links.length ? "pointer" : "default",
        data: steps.map((s) => ({
          value: Math.max(s.from, s.to) - Math.max(Math.min(s.from, s.to), bottom),
          itemStyle: { color: colours.series[s.tone], borderRadius: 3 },
        })),
        label: {
          show: true,
          position: isNarrow ? "right" : "top",
          color: colours.ink,
          fontFamily: colours.font,
          fontSize: 12,
          formatter: (point) => {
            const { value, tone } = steps[point.dataIndex];
            return value === null ? "no data" : `${tone === "green" ? "+" : ""}${words(value, spec, true)}`;
          },
        },
      },
    ];
    if (isNarrow) {
      // Seven columns don't fit a phone; seven lines do.
      [option.xAxis, option.yAxis] = [option.yAxis, { ...option.xAxis, inverse: true }];
      option.xAxis.axisLabel.show = false;
      option.grid.right = 64;
      option.grid.top = 4;
    }
    return option;
  },
};

// --- Drawing --------------------------------------------------------------------------

const isNarrow = (element) => element.clientWidth < 480;

/** How many lines the legend takes: about seven pixels a letter, and room for its mark. */
function legendLines(spec, width) {
  let [lines, used] = [1, 0];
  for (const { name } of spec.series) {
    const needed = name.length * 7 + 32;
    if (used && used + needed > width) [lines, used] = [lines + 1, 0];
    used += needed;
  }
  return lines;
}

function paint(element, spec, echarts, isStill = false) {
  drawn.get(element)?.chart.dispose();
  const chart = echarts.init(element, null, { renderer: "svg" });
  const option = KINDS[spec.kind](spec, palette(), isNarrow(element));
  // A legend of several lines must not lie on the drawing.
  if (spec.series.length > 1) option.grid.top += 20 * (legendLines(spec, element.clientWidth) - 1);
  chart.setOption(isStill ? { ...option, animation: false } : option);
  chart.on("click", (point) => {
    const series = spec.series.find((each) => each.name === point.seriesName);
    const href = series?.links[point.dataIndex];
    if (href) location.assign(href);
  });
  // The figure has its sentence and its table: the drawing itself stays silent, or it would be read out twice.
  element.setAttribute("aria-hidden", "true");
  element.removeAttribute("role");
  element.removeAttribute("aria-label");
  drawn.set(element, { chart, spec, wasNarrow: isNarrow(element) });
}

async function specOf(element) {
  const { chartUrl, spec } = element.dataset;
  return chartUrl ? (await fetch(chartUrl, { headers: { Accept: "application/json" } })).json() : JSON.parse(spec);
}

async function draw(element) {
  try {
    paint(element, await specOf(element), await loadECharts());
  } catch (error) {
    console.error(error);
    element.innerHTML = '<p class="chart-failed">The drawing did not load. The figures are below.</p>';
  }
}

const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      draw(target);
    }
  },
  { rootMargin: "300px" },
);

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const known = drawn.get(target);
    if (!known) continue;
    if (known.wasNarrow === isNarrow(target)) known.chart.resize();
    else paint(target, known.spec, window.echarts);
  }
});

function find(root) {
  for (const element of root.querySelectorAll("[data-chart], [data-chart-url]")) {
    if (element.dataset.seen) continue;
    element.dataset.seen = "yes";
    // What is to be printed is drawn at once, in sight or not.
    if (element.closest("[data-draw-now]")) draw(element);
    else near.observe(element);
    sizes.observe(element);
  }
}

find(document);
document.addEventListener("htmx:afterSettle", (event) => {
  for (const [element, { chart }] of drawn)
    if (!element.isConnected) {
      chart.dispose();
      drawn.delete(element);
      sizes.unobserve(element);
    }
  find(event.detail.elt.isConnected ? event.detail.elt : document);
});

function repaint(isStill) {
  if (!window.echarts) return;
  for (const [element, { spec }] of drawn) paint(element, spec, window.echarts, isStill);
}
document.addEventListener("themechange", () => repaint(false));

// --- On paper and as a picture ----------------------------------------------------------

let screenTheme = null;
addEventListener("beforeprint", () => {
  document.querySelectorAll(".chart-table").forEach((details) => (details.open = true));
  // Paper is white, and of another width: a drawing with a view box can be scaled to it.
  screenTheme = document.documentElement.dataset.bsTheme;
  document.documentElement.dataset.bsTheme = "light";
  repaint(true);
  for (const [element, { chart }] of drawn) {
    chart.getZr().flush();
    element.querySelector("svg")?.setAttribute("viewBox", `0 0 ${chart.getWidth()} ${chart.getHeight()}`);
  }
});
addEventListener("afterprint", () => {
  document.documentElement.dataset.bsTheme = screenTheme;
  repaint(true);
});

const PICTURE = { width: 1200, height: 600 };

/** The chart as a PNG with its title, in the page's fonts and colours: for a slide or a mail. */
async function picture(element, title) {
  const [spec, echarts] = [await specOf(element), await loadECharts()];
  const colours = palette();
  const chart = echarts.init(document.createElement("div"), null, { renderer: "canvas", devicePixelRatio: 2, ...PICTURE });
  const option = KINDS[spec.kind](spec, colours, false);
  const words = { fontFamily: colours.font, overflow: "truncate", width: PICTURE.width - 48 };
  chart.setOption({
    ...option,
    animation: false,
    backgroundColor: colours.surface,
    title: { text: title, subtext: spec.summary, left: 24, top: 20, textStyle: { ...words, fontSize: 20, fontWeight: 600, color: colours.ink }, subtextStyle: { ...words, fontSize: 13, color: colours.ink2 } },
    legend: { ...option.legend, top: 84, left: 24 },
    grid: { ...option.grid, left: 24, right: Math.max(option.grid.right, 32), top: option.grid.top + 84, bottom: 24 },
  });
  const address = chart.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: colours.surface });
  chart.dispose();
  return address;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-chart-picture]");
  if (!button) return;
  const { chartPicture, chartTitle } = button.dataset;
  const element = document.querySelector(`[data-chart="${chartPicture}"]`);
  const link = document.createElement("a");
  link.href = await picture(element, chartTitle);
  link.download = `${chartPicture}.png`;
  link.click();
});
