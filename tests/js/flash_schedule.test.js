/** The schedule on a fake clock: every display rate, noisy clocks, dropped frames, odd durations. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { FlashSchedule } from '../../static/js/trials/flash_schedule.js';
import { medianInterval } from '../../static/js/trials/frames.js';

const RATES = [30, 60, 75, 90, 120, 144, 165, 240];
const NIGHTS = [700, 500, 1000, 500, 1000, 500, 1000, 500];
const BAPPS = [700, 1000, 250, 1000];
const ODD = [34, 100, 333, 501, 517, 1234.5, 50, 41];

/** Seeded, so that a failure comes again. */
function noise(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Time stamps of a display: `jitterMs` either way, rounded as browsers do, the frames in `dropped` left out. */
function* display(hz, { jitterMs = 0, roundMs = 0, dropped = [], from = 1234.567 } = {}) {
  const random = noise(hz);
  for (let frame = 0; ; frame += 1) {
    const stamp = from + (1000 * frame) / hz + jitterMs * (2 * random() - 1);
    if (!dropped.includes(frame)) yield roundMs ? Math.round(stamp / roundMs) * roundMs : stamp;
  }
}

function intervals(durations) {
  return durations.map((requested_ms, place) => ({
    shows: place === 0 ? 'fixation' : place % 2 ? 'image' : 'blank',
    requested_ms,
  }));
}

function play(durations, stamps, frameMs) {
  const schedule = new FlashSchedule(intervals(durations), frameMs);
  const shown = [];
  for (const stamp of stamps) {
    shown.push(schedule.at(stamp));
    if (schedule.isOver) return { schedule, shown, log: schedule.shown };
  }
  throw new Error('the stamps ended first');
}

for (const hz of RATES) {
  describe(`${hz} Hz`, () => {
    const frame = 1000 / hz;
    for (const [name, durations] of Object.entries({ NIGHTS, BAPPS, ODD })) {
      for (const noisy of [{}, { jitterMs: 0.1 * frame }, { roundMs: 1 }]) {
        test(`${name} ${JSON.stringify(noisy)}`, () => {
          const { schedule, shown, log } = play(durations, display(hz, noisy), frame);
          const clock = (noisy.jitterMs ?? 0) * 2 + (noisy.roundMs ?? 0);
          assert.equal(log.length, durations.length);
          for (const [place, interval] of log.entries()) {
            const lasted = interval.off_ms - interval.on_ms;
            const nearest = Math.max(frame / 2, frame - interval.requested_ms) + clock + 1e-6;
            assert.ok(Math.abs(lasted - interval.requested_ms) <= nearest, JSON.stringify(interval));
            assert.ok(Math.abs(interval.frames - lasted / frame) <= clock / frame + 1e-6, JSON.stringify(interval));
            assert.equal(shown.filter((seen) => seen === place).length, interval.frames);
            assert.equal(interval.late_frames, 0);
            assert.equal(interval.on_ms, log[place - 1]?.off_ms ?? interval.on_ms);
          }
          assert.deepEqual(schedule.flags, []);
          assert.deepEqual(shown.slice(-3), [durations.length - 1, durations.length, durations.length]);
        });
      }
    }

    test('the frame interval is measured, whatever a few late frames do', () => {
      const clean = display(hz, { jitterMs: 0.05 * frame, dropped: [5, 6, 7, 20, 40] });
      const measured = medianInterval(Array.from({ length: 61 }, () => clean.next().value));
      assert.ok(Math.abs(measured - frame) < 0.1 * frame, `${measured} for ${frame}`);
    });

    const image = Math.round(400 / frame); // how many frames each of [400, 400, 400] takes; no rate leaves half a frame over
    const fixation = image;
    const flagsWithout = (dropped) => play([400, 400, 400], display(hz, { dropped }), frame).schedule.flags;

    test('a frame dropped amid a flash is counted, not flagged', () => {
      const { schedule, log } = play([400, 400, 400], display(hz, { dropped: [fixation + 7] }), frame);
      assert.deepEqual(log.map((interval) => interval.late_frames), [0, 1, 0]);
      assert.equal(log[1].frames, image - 1);
      assert.deepEqual(schedule.flags, []);
    });

    test('a frame dropped beside an onset or an end is flagged', () => {
      for (const boundary of [fixation, fixation + image, fixation + 2 * image]) {
        assert.ok(flagsWithout([boundary]).includes('late'), `late into ${boundary}`);
        assert.ok(flagsWithout([boundary + 1]).includes('late'), `late out of ${boundary}`);
      }
    });

    test('a flash that lasts two frames longer is flagged as such', () => {
      const last = fixation + image;
      assert.deepEqual(flagsWithout([last, last + 1]), ['duration', 'late']);
    });

    test('late frames of the fixation are nobody’s flag', () => {
      assert.deepEqual(flagsWithout([0, 1, 3, 4]), []);
    });
  });
}

test('60 ms of work in every frame is flagged, also if the frame interval was measured meanwhile', () => {
  const janky = Array.from({ length: 100 }, (_, frame) => frame * 66.7);
  const { schedule } = play(NIGHTS, janky, medianInterval(janky));
  assert.ok(schedule.flags.includes('late'));
});

test('every interval is shown for a frame, however late it comes', () => {
  const { schedule, shown, log } = play([100, 50, 50], [0, 5000, 10_000, 15_000, 15_016], 1000 / 60);
  assert.deepEqual(shown, [0, 1, 2, 3, 3]);
  assert.deepEqual(log.map(({ frames }) => frames), [1, 1, 1]);
  assert.deepEqual(schedule.flags, ['duration', 'late']);
});

test('an interrupted schedule tells what was shown until then', () => {
  const schedule = new FlashSchedule(intervals(NIGHTS), 1000 / 60);
  for (const stamp of [0, 700, 716]) schedule.at(stamp);
  assert.deepEqual(schedule.shown, [
    { shows: 'fixation', requested_ms: 700, on_ms: 0, off_ms: 700, frames: 1, late_frames: 1 },
    { shows: 'image', requested_ms: 500, on_ms: 700, frames: 2, late_frames: 0 },
  ]);
  assert.ok(!schedule.isOver);
});
