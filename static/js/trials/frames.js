/** Frames of the display, on the clock of `event.timeStamp`. */

const SAMPLES = 60;

/** The start of the next frame. What the awaiting code changes at once is painted in that very frame. */
export function nextFrame() {
  return new Promise((resolve) => requestAnimationFrame(resolve));
}

/** The interval between frames in ms: the median of 60, which a few late ones do not move. */
export async function frameInterval() {
  const intervals = [];
  let last = await nextFrame();
  while (intervals.length < SAMPLES) {
    const now = await nextFrame();
    intervals.push(now - last);
    last = now;
  }
  return intervals.sort((a, b) => a - b)[SAMPLES / 2];
}
