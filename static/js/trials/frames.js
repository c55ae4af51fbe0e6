/** Frames of the display, on the clock of `event.timeStamp`. */

const SAMPLES = 60;

/** The start of the next frame. What the awaiting code changes at once is painted in that very frame. */
export function nextFrame() {
  return new Promise((resolve) => requestAnimationFrame(resolve));
}

/** The first frame at or after `time`. */
export async function firstFrameAfter(time) {
  for (;;) {
    const frame = await nextFrame();
    if (frame >= time) return frame;
  }
}

/** The interval between frames in ms, measured over the next 61. */
export async function frameInterval() {
  const stamps = [];
  while (stamps.length <= SAMPLES) stamps.push(await nextFrame());
  return medianInterval(stamps);
}

/** The median of the intervals between time stamps, which a few late frames do not move. */
export function medianInterval(/** @type {number[]} */ stamps) {
  const intervals = stamps.slice(1).map((stamp, place) => stamp - stamps[place]);
  return intervals.sort((a, b) => a - b)[Math.floor(intervals.length / 2)];
}
