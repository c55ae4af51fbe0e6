// Charts are plain SVG until somebody points at one; only then Vega-Lite is fetched, to show it in the colours of the
// page and without eval: the interpreter runs its expressions.

const LIBRARIES = ["vega", "vega-lite", "vega-embed"];
let loaded;

function load(name) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(`../../vendor/${name}.min.js`, import.meta.url);
    script.async = false;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
}

const dark = matchMedia("(prefers-color-scheme: dark)");

const colour = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

function config() {
  const axis = {
    labelColor: colour("--pico-muted-color"),
    titleColor: colour("--pico-muted-color"),
    gridColor: colour("--line"),
    domain: false,
    tickColor: colour("--line"),
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 400,
  };
  return {
    background: "transparent",
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis,
    legend: { labelColor: colour("--pico-color"), labelFontSize: 12, title: null, orient: "top", symbolStrokeWidth: 3 },
    range: { category: ["--observed", "--forecast", "--published"].map(colour) },
    style: { observed: { color: colour("--observed") }, forecast: { color: colour("--forecast") } },
  };
}

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.canvas = figure.querySelector(".canvas");
    this.shown = "";
  }

  async refresh() {
    const answer = await fetch(this.figure.dataset.spec).catch(() => null);
    if (!answer?.ok) return;
    const text = await answer.text();
    if (text !== this.shown) await this.show(text);
  }

  async show(text) {
    this.shown = text;
    const fresh = document.createElement("div");
    fresh.className = "canvas";
    this.canvas.replaceWith(fresh);
    const coloured = text.replace(/var\((--[\w-]+)\)/g, (_, name) => colour(name));
    const drawn = await vegaEmbed(fresh, JSON.parse(coloured), {
      ast: true,
      config: config(),
      renderer: "svg",
      defaultStyle: false,
      tooltip: { disableDefaultStyle: true },
      actions: false,
    });
    if (!this.result) this.offerFiles();
    this.result?.finalize();
    this.result = drawn;
    this.canvas = fresh;
  }

  async save(kind) {
    const link = document.createElement("a");
    link.href = await this.result.view.toImageURL(kind, 2);
    link.download = `${this.figure.dataset.name}.${kind}`;
    link.click();
  }

  // Beside the canvas: there they keep the focus when the chart is drawn anew.
  offerFiles() {
    const row = document.createElement("div");
    row.className = "saves";
    for (const kind of ["svg", "png"]) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet";
      button.textContent = `Save as ${kind.toUpperCase()}`;
      button.addEventListener("click", () => this.save(kind));
      row.append(button);
    }
    this.figure.append(row);
  }
}

async function comeAlive(figure) {
  loaded ??= Promise.all(LIBRARIES.map(load));
  await loaded;
  const chart = new Chart(figure);
  await chart.refresh();
  dark.addEventListener("change", () => chart.shown && chart.show(chart.shown));
  const seconds = Number(figure.dataset.every);
  if (seconds) setInterval(() => document.visibilityState === "visible" && chart.refresh(), seconds * 1000);
}

export function showCharts() {
  for (const figure of document.querySelectorAll("figure[data-spec]")) {
    const once = new AbortController();
    const begin = () => {
      once.abort();
      comeAlive(figure).catch(() => (loaded = undefined));
    };
    for (const sign of ["pointerenter", "focus"]) figure.addEventListener(sign, begin, { signal: once.signal });
  }
}
