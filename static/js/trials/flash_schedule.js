/**
 * When each flash goes on and off, from the time stamps of frames alone: no clock, no page.
 *
 * An interval begins with the frame that first shows it and ends with the first frame by which it has lasted as long as
 * requested less half a frame: of all frames the nearest. Each counts from its own onset, so errors do not add up, and
 * each is shown for at least one frame, however late that comes.
 */

/** No display is slower: a longer interval was measured while the machine was too busy, and would excuse late frames. */
const SLOWEST_FRAME_MS = 1000 / 30;

/** A frame later than this many intervals after the one before has missed its turn. */
const LATE_INTERVALS = 1.5;

/** Browsers round time stamps, to a millisecond at worst. */
const CLOCK_MS = 1;

/**
 * @typedef {{shows: 'fixation' | 'image' | 'blank', requested_ms: number}} Interval
 * @typedef {Interval & {on_ms: number, off_ms: number, frames: number, late_frames: number}} ShownInterval
 */

export class FlashSchedule {
  /** @type {ShownInterval[]} */
  #intervals;
  #frameMs;
  #current = -1;
  #last = NaN;
  #framesSinceEnd = 0;
  /** Whether the frame that began interval i, or the one after it, was late; of the end, at the last place. */
  #isLateAt;

  /**
   * @param {Interval[]} intervals in their order
   * @param {number} frameMs the display's frame interval
   */
  constructor(intervals, frameMs) {
    this.#intervals = intervals.map((interval) => ({ ...interval, on_ms: NaN, off_ms: NaN, frames: 0, late_frames: 0 }));
    this.#frameMs = Math.min(frameMs, SLOWEST_FRAME_MS);
    this.#isLateAt = new Array(intervals.length + 1).fill(false);
  }

  /** The first frame after the last interval has come too: whatever was shown is gone from the screen. */
  get isOver() {
    return this.#framesSinceEnd > 1;
  }

  /**
   * @param {number} now the time stamp of a frame; none may be left out
   * @returns {number} the place of the interval that this frame shows, from 0; their number once the last has ended
   */
  at(now) {
    const isLate = now - this.#last > LATE_INTERVALS * this.#frameMs;
    const isFirstOfInterval = this.#isDue(now);
    if (isLate) this.#noteLate(isFirstOfInterval);
    if (isFirstOfInterval) this.#begin(now);
    const shown = this.#intervals[this.#current];
    if (shown) shown.frames += 1;
    else this.#framesSinceEnd += 1;
    this.#last = now;
    return this.#current;
  }

  /** @returns {ShownInterval[]} those that have begun; the last one without `off_ms` if it has not ended */
  get shown() {
    return this.#intervals.slice(0, this.#current + 1).map((interval) => {
      const { off_ms: off, ...begun } = interval;
      return Number.isNaN(off) ? begun : interval;
    });
  }

  /**
   * What went wrong with images and blanks: `duration` if one differs from the request by more than a frame, `late` if a
   * frame next to its onset or its end was late, when what the screen shows and what this log says part.
   *
   * @returns {string[]}
   */
  get flags() {
    const flags = new Set();
    this.#intervals.forEach(({ shows, requested_ms: requested, on_ms: on, off_ms: off }, place) => {
      if (shows === 'fixation') return;
      if (Math.abs(off - on - requested) > this.#frameMs + CLOCK_MS) flags.add('duration');
      if (this.#isLateAt[place] || this.#isLateAt[place + 1]) flags.add('late');
    });
    return [...flags];
  }

  #isDue(now) {
    const shown = this.#intervals[this.#current];
    if (!shown) return this.#current < 0;
    return now - shown.on_ms >= shown.requested_ms - this.#frameMs / 2;
  }

  #begin(now) {
    const ending = this.#intervals[this.#current];
    if (ending) ending.off_ms = now;
    this.#current += 1;
    const beginning = this.#intervals[this.#current];
    if (beginning) beginning.on_ms = now;
  }

  /** Before `#begin`: the late frame ends the current interval, or follows the one that began it, or lies in between. */
  #noteLate(isFirstOfNext) {
    const shown = this.#intervals[this.#current];
    if (shown) shown.late_frames += 1;
    if (isFirstOfNext) this.#isLateAt[this.#current + 1] = true;
    if ((shown ? shown.frames : this.#framesSinceEnd) === 1) this.#isLateAt[this.#current] = true;
  }
}
