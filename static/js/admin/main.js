// What the dashboard does beyond links and forms: times in the viewer's zone, copying, charts, and saying so when
// the server does not answer.

import { showCharts } from "./charts.js";
import "./shortcuts.js";
import { localTimes } from "./times.js";

const connection = document.getElementById("connection");

localTimes(document);
showCharts();

// A page that nobody looks at asks for nothing.
document.body.addEventListener("htmx:beforeRequest", (event) => document.hidden && event.preventDefault());
document.body.addEventListener("htmx:afterSettle", () => localTimes(document));
document.body.addEventListener("htmx:sendError", () => (connection.hidden = false));
document.body.addEventListener("htmx:responseError", () => (connection.hidden = false));
document.body.addEventListener("htmx:afterOnLoad", () => (connection.hidden = true));

document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});

// A form that takes its time says so, and is sent once.
document.addEventListener("submit", ({ target }) => {
  const button = target.dataset.busy && target.querySelector("button[type=submit]");
  if (!button) return;
  button.textContent = target.dataset.busy;
  button.ariaBusy = "true";
  setTimeout(() => (button.disabled = true));
});
