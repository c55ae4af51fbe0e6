// Moments as the viewer's zone and habits have them; without this script they stand there in UTC.

const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    time.textContent = format.format(moment);
    time.title = moment.toISOString();
  }
}
