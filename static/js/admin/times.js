// Moments as the viewer's zone and habits have them; without this script they stand there in UTC.

const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const times = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const days = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

export function localTimes(root) {
  for (const time of root.querySelectorAll("time:not([title])")) {
    const moment = new Date(time.dateTime);
    time.textContent = (time.dataset.only === "day" ? days : moments).format(moment);
    time.title = moment.toISOString();
  }
  for (const label of root.querySelectorAll("[data-moment]")) {
    label.textContent = times.format(new Date(label.dataset.moment));
  }
}
