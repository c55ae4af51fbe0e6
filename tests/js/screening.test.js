/** What is said to whom when a study cannot be taken on a device. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { obstacles } from '../../static/js/screening.js';

const JND = { minWidth: 900, minHeight: 600, touch: false, minRefreshHz: 50 };
const LAPTOP = { width: 1280, height: 720, isTouch: false, refreshHz: 60 };
const PHONE = { width: 375, height: 667, isTouch: true, refreshHz: 60 };

const said = (device, demands) => obstacles(device, demands).join(' ');

test('nothing stands in the way of a device that meets every demand', () => {
  assert.deepEqual(obstacles(LAPTOP, JND), []);
  assert.deepEqual(obstacles({ ...LAPTOP, width: 900, height: 600, refreshHz: 50 }, JND), []);
  assert.deepEqual(obstacles(PHONE, { minWidth: 360, minHeight: 480, touch: true }), []);
});

test('a phone is told once, and not to enlarge its window', () => {
  assert.equal(obstacles(PHONE, JND).length, 1);
  assert.match(said(PHONE, JND), /on a computer/);
});

test('a small window is told both sizes and what to do', () => {
  assert.match(said({ ...LAPTOP, width: 800 }, JND), /900 × 600 pixels, and this one has 800 × 720.*larger/);
  assert.match(said({ ...PHONE, width: 667, height: 375 }, { minWidth: 360, minHeight: 480, touch: true }), /turn/);
});

test('a slow display is told how slow', () => {
  assert.match(said({ ...LAPTOP, refreshHz: 30 }, JND), /50 images a second, and this one just showed 30/);
  assert.deepEqual(obstacles({ ...LAPTOP, refreshHz: undefined }, JND), [], 'before it is measured');
});
