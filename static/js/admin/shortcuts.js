// Single keys for what one does often. They can be switched off, since whoever dictates or slips would set them off.

const SWITCH = "lookalike-shortcuts";
const help = document.getElementById("shortcuts");
const uses = help.querySelector("input");

uses.checked = localStorage.getItem(SWITCH) !== "off";
uses.addEventListener("change", () => localStorage.setItem(SWITCH, uses.checked ? "on" : "off"));

// j and k: to what stands next, on a page that has neighbours, or through a grid or table.
function move(by) {
  const neighbour = document.querySelector(`a[rel=${by > 0 ? "next" : "prev"}]`);
  if (neighbour) return neighbour.click();
  const links = [...document.querySelectorAll("main :is(.item, .studies h2 a, tbody td:first-child a, .more a)")];
  const place = links.indexOf(document.activeElement) + by;
  links[Math.max(place, 0)]?.focus();
}

// Up: from an item to the items, from a study to the studies.
function up() {
  const tab = document.querySelector(".tabs [aria-current]");
  const above = tab && tab.pathname !== location.pathname ? tab : document.querySelector(".crumbs a");
  above?.click();
}

const ACTIONS = {
  j: () => move(1),
  k: () => move(-1),
  "/": () => document.querySelector(".filters :is(input, select)")?.focus(),
  u: up,
};

function act(key) {
  if (ACTIONS[key]) return ACTIONS[key];
  const tab = /^[1-9]$/.test(key) && document.querySelector(`.tabs a:nth-of-type(${key})`);
  return tab ? () => tab.click() : null;
}

document.addEventListener("keydown", (event) => {
  const { key, target, ctrlKey, metaKey, altKey } = event;
  if (ctrlKey || metaKey || altKey || help.open || target.closest("input, select, textarea")) return;
  const action = key === "?" ? () => help.showModal() : uses.checked && act(key);
  if (!action) return;
  event.preventDefault();
  action();
});

for (const button of document.querySelectorAll("[data-shortcuts]")) {
  button.hidden = false;
  button.addEventListener("click", () => help.showModal());
}
